/**
 * Where a benchmark keeps its files.
 *
 * @module
 */

/**
 * Does work in a folder of its own, which goes away with it, on a signal too.
 *
 * @param work Given the folder, in which are all temporary files meanwhile, those
 * of the test servers too.
 */
export async function inFolder<T>(
  work: (dir: string) => Promise<T>,
): Promise<T> {
  // Unlike /tmp, /var/tmp is not in memory, where syncs cost nothing.
  const dir = await Deno.makeTempDir({
    dir: Deno.env.get("TMPDIR") ?? "/var/tmp",
    prefix: "whatsapp-inbox-bench-",
  });
  Deno.env.set("TMPDIR", dir);
  const remove = () => Deno.removeSync(dir, { recursive: true });
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      // The signal may have come to this process alone.
      new Deno.Command("pkill", { args: ["-P", `${Deno.pid}`] }).outputSync();
      remove();
      Deno.exit(1);
    });
  }
  try {
    return await work(dir);
  } finally {
    remove();
  }
}
