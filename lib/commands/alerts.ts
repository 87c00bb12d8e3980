/**
 * `alerts`: what Prometheus is to watch, and what to do about it.
 *
 * @module
 */

import { maxWaitingRows } from "../store/sqlite/sqlite.ts";
import type { Command } from "./command.ts";

/** Prints the rules. */
export const alertsCommand: Command = {
  operands: [],
  summary: "Print alert rules for Prometheus",
  options: {},
  help: `Usage: whatsapp-inbox alerts

Prints alert rules for Prometheus, for the scrape job "whatsapp-inbox". Each has
a severity, "critical" if messages can't be stored or soon can't be, else
"warning", and says what to do:

  whatsapp-inbox alerts | sudo tee /etc/prometheus/whatsapp-inbox.rules.yml
  promtool check rules /etc/prometheus/whatsapp-inbox.rules.yml

In prometheus.yml it goes under "rule_files".

Options:
  -h, --help  Print this text

Exit codes:
  0  The rules were printed
  2  Wrong arguments`,

  run() {
    console.log(rules);
    return Promise.resolve(0);
  },
};

const rules = `groups:
  - name: whatsapp-inbox
    rules:
      - alert: WhatsappInboxDown
        expr: up{job="whatsapp-inbox"} == 0 or absent(up{job="whatsapp-inbox"})
        for: 2m
        labels:
          severity: critical
        annotations:
          summary: The inbox {{ $labels.instance }} can't be scraped
          description: >-
            Nothing is received; providers repeat their deliveries for a limited time.
            Look at "systemctl status whatsapp-inbox" and its journal; "whatsapp-inbox
            check" says what keeps it from starting.

      - alert: WhatsappInboxNotReady
        expr: service_ready{job="whatsapp-inbox"} == 0
        for: 2m
        labels:
          severity: critical
        annotations:
          summary: The inbox {{ $labels.instance }} is not ready
          description: >-
            Deliveries get 503. GET /health/ready and "whatsapp-inbox healthcheck" say
            why; for what is wrong with the database see "whatsapp-inbox check".

      - alert: WhatsappInboxErrors
        expr: >-
          sum by (job, instance, path) (rate(http_requests_total{job="whatsapp-inbox",path!="/health/ready",status=~"5.."}[5m]))
          / sum by (job, instance, path) (rate(http_requests_total{job="whatsapp-inbox",path!="/health/ready"}[5m]))
          > 0.05
        for: 5m
        labels:
          severity: critical
        annotations:
          summary: "{{ $value | humanizePercentage }} of requests for {{ $labels.path }} on {{ $labels.instance }} fail"
          description: >-
            A delivery that fails is not stored, and comes again later. The log's ERROR
            lines have the "reason": a lock that another process holds, a full disk or
            queue, a missing secret; an "error" is a fault of the program.

      - alert: WhatsappInboxNothingStored
        expr: >-
          sum by (job, instance) (increase(webhook_requests_total{job="whatsapp-inbox",result=~"unavailable|error"}[10m])) > 0
          and sum by (job, instance) (increase(store_commit_duration_seconds_count{job="whatsapp-inbox"}[10m])) == 0
        for: 5m
        labels:
          severity: critical
        annotations:
          summary: Deliveries come to {{ $labels.instance }}, and none is stored
          description: >-
            There was no commit for ten minutes. GET /health/ready and the log's ERROR
            lines say why; nothing is lost yet, since no delivery got its 200.

      - alert: WhatsappInboxInvalidSignatures
        expr: >-
          sum by (job, instance) (rate(webhook_requests_total{job="whatsapp-inbox",result="invalid_signature"}[10m]))
          / sum by (job, instance) (rate(webhook_requests_total{job="whatsapp-inbox"}[10m]))
          > 0.1
          and sum by (job, instance) (increase(webhook_requests_total{job="whatsapp-inbox",result="invalid_signature"}[10m])) > 20
        for: 5m
        labels:
          severity: warning
        annotations:
          summary: "{{ $value | humanizePercentage }} of deliveries to {{ $labels.instance }} have a wrong signature"
          description: >-
            If they are the provider's own (see webhook_provider_requests_total), the
            secret here isn't the one there: set the right one, and the old one as
            ..._PREVIOUS while it changes. If they are not, somebody is trying: nothing
            of theirs is stored; keep them out at the proxy.

      - alert: WhatsappInboxQueueFilling
        expr: store_queue_rows{job="whatsapp-inbox"} > ${maxWaitingRows / 2}
        for: 1m
        labels:
          severity: warning
        annotations:
          summary: "{{ $value }} rows wait for their commit on {{ $labels.instance }}"
          description: >-
            At ${maxWaitingRows} deliveries get 503. Compare
            store_commit_duration_seconds: if commits are slow it is the disk, if not
            more comes than one machine stores.

      - alert: WhatsappInboxCommitsSlow
        expr: >-
          histogram_quantile(0.99, sum by (job, instance, le) (rate(store_commit_duration_seconds_bucket{job="whatsapp-inbox"}[5m])))
          > 0.5
        for: 10m
        labels:
          severity: warning
        annotations:
          summary: One commit in a hundred on {{ $labels.instance }} takes {{ $value | humanizeDuration }}
          description: >-
            Deliveries wait as long for their 200. Something else keeps the disk busy (a
            backup, another virtual machine), it fails, or another process locks the
            database.

      - alert: WhatsappInboxWalGrowing
        expr: >-
          store_wal_bytes{job="whatsapp-inbox"} > 1024 ^ 3
          and delta(store_wal_bytes{job="whatsapp-inbox"}[30m]) > 0
        for: 15m
        labels:
          severity: warning
        annotations:
          summary: The write-ahead log on {{ $labels.instance }} has {{ $value | humanize1024 }}B and grows
          description: >-
            Something reads an old state of the database and doesn't end: a backup onto a
            slow disk, a sqlite3 shell with an open transaction. End it; "fuser -v" on the
            database file shows who has it open. A restart shortens the log again.

      - alert: WhatsappInboxDiskNearlyFull
        expr: store_disk_free_bytes{job="whatsapp-inbox"} < 1024 ^ 3
        for: 5m
        labels:
          severity: critical
        annotations:
          summary: "{{ $value | humanize1024 }}B are free on the disk of {{ $labels.instance }}"
          description: >-
            When it is full deliveries get 503. Make room or enlarge the disk; old backups
            beside the database are the first to go.

      - alert: WhatsappInboxDiskFullSoon
        expr: predict_linear(store_disk_free_bytes{job="whatsapp-inbox"}[6h], 24 * 60 * 60) < 0
        for: 1h
        labels:
          severity: warning
        annotations:
          summary: The disk of {{ $labels.instance }} is full within a day
          description: >-
            That is if it goes on as in the last six hours. See whether store_messages,
            store_wal_bytes or something else grows; make room or enlarge the disk.

      - alert: WhatsappInboxMemoryHigh
        expr: process_resident_memory_bytes{job="whatsapp-inbox"} > 1024 ^ 3
        for: 15m
        labels:
          severity: warning
        annotations:
          summary: The inbox {{ $labels.instance }} uses {{ $value | humanize1024 }}B of memory
          description: >-
            That is several times what it needs under load. Look at what it is asked
            (http_requests_in_flight, searches in the log); restarting it loses nothing.

      - alert: WhatsappInboxRestartsOften
        expr: changes(process_start_time_seconds{job="whatsapp-inbox"}[1h]) > 2
        labels:
          severity: warning
        annotations:
          summary: The inbox {{ $labels.instance }} restarted {{ $value }} times in an hour
          description: >-
            Nobody stores while it starts. "journalctl -u whatsapp-inbox" has each end's
            reason; "journalctl -k" tells whether it was killed for want of memory.

      - alert: WhatsappInboxLogDropped
        expr: increase(log_lines_dropped_total{job="whatsapp-inbox"}[15m]) > 0
        labels:
          severity: warning
        annotations:
          summary: The inbox {{ $labels.instance }} drops lines of its log
          description: >-
            Whatever reads its stdout is too slow or stuck: see systemd-journald or the
            container's log driver. Messages are stored all the same.`;
