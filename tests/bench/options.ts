/**
 * The options of a measuring task.
 *
 * @module
 */

import { parseArgs, type ParseArgsConfig } from "node:util";

/**
 * The process's options by their long names, of which `--help` is one that is not
 * to be given here: it prints the text and ends the process with exit code 0.
 * Wrong arguments end it with 2.
 */
export function readOptions<
  Options extends NonNullable<ParseArgsConfig["options"]>,
>(help: string, options: Options) {
  try {
    const { values } = parseArgs({
      args: Deno.args,
      options: {
        ...options,
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (!("help" in values && values.help)) return values;
  } catch (error) {
    console.error((error as TypeError).message);
    Deno.exit(2);
  }
  console.log(help);
  Deno.exit(0);
}
