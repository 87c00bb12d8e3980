/**
 * What a command reads: a file or stdin.
 *
 * @module
 */

/**
 * Opens a file.
 *
 * @param file The file's path; `-` stands for stdin.
 * @throws {Error} If there is no such file, or it can't be read.
 */
export async function openInput(
  file: string,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  if (file === "-") return Deno.stdin.readable;
  try {
    return (await Deno.open(file)).readable;
  } catch (error) {
    throw new Error(`cannot read ${file}: ${(error as Error).message}`);
  }
}
