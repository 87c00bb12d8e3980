/**
 * `systemd`: a unit that runs the service on a VM, shut in.
 *
 * @module
 */

import type { Command } from "./command.ts";

const secretsFolder = "/etc/whatsapp-inbox";
/** Where the README installs it; the running program's own place if it is compiled. */
const executable = Deno.build.standalone
  ? Deno.execPath()
  : "/usr/local/bin/whatsapp-inbox";

/** Prints the unit. */
export const systemdCommand: Command = {
  operands: [],
  summary: "Print a hardened systemd unit that runs this executable",
  options: {},
  help: `Usage: whatsapp-inbox systemd

Prints a systemd unit that runs this executable as a user of its own, with
/var/lib/whatsapp-inbox to write in and nothing else:

  sudo install -d -m 700 ${secretsFolder}
  openssl rand -hex 32 | sudo tee ${secretsFolder}/webhook_secret
  whatsapp-inbox systemd | sudo tee /etc/systemd/system/whatsapp-inbox.service
  sudo systemctl daemon-reload
  sudo systemctl enable --now whatsapp-inbox

It needs systemd 251 or later. "systemctl edit whatsapp-inbox" is the place for
other settings.

Options:
  -h, --help  Print this text

Exit codes:
  0  The unit was printed
  2  Wrong arguments`,

  run() {
    console.log(unit);
    return Promise.resolve(0);
  },
};

const unit = `[Unit]
Description=Inbox for signed WhatsApp webhooks
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=${executable}
Restart=on-failure
RestartSec=1
# It stops within 10 s.
TimeoutStopSec=15

# For a reverse proxy with TLS on this machine.
Environment=HOST=127.0.0.1 PORT=8000
Environment=DATABASE_URL=sqlite:////var/lib/whatsapp-inbox/app.db
LoadCredential=webhook_secret:${secretsFolder}/webhook_secret
Environment=WEBHOOK_SECRET_FILE=%d/webhook_secret
# With the WhatsApp Cloud API:
#LoadCredential=whatsapp_app_secret:${secretsFolder}/whatsapp_app_secret
#Environment=WHATSAPP_APP_SECRET_FILE=%d/whatsapp_app_secret
#LoadCredential=whatsapp_verify_token:${secretsFolder}/whatsapp_verify_token
#Environment=WHATSAPP_VERIFY_TOKEN_FILE=%d/whatsapp_verify_token

DynamicUser=yes
StateDirectory=whatsapp-inbox
StateDirectoryMode=0700
UMask=0077
LimitNOFILE=65536

# All but MemoryDenyWriteExecute, which a JavaScript engine can't live with.
CapabilityBoundingSet=
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources

[Install]
WantedBy=multi-user.target`;
