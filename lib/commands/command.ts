/**
 * What a command is. A new one is a file like its neighbours and a line in
 * `main.ts`.
 *
 * @module
 */

/** Options by their long names. */
type Options = Readonly<
  Record<string, { readonly type: "boolean" | "string" }>
>;

/** What was given of the options. */
type Values<O extends Options> = {
  readonly [Name in keyof O]?: O[Name]["type"] extends "string" ? string
    : boolean;
};

/** A command of the command line. */
export interface Command<O extends Options = Options> {
  /** The operands' names; those in brackets may be left out. */
  readonly operands: readonly string[];
  /** What it does, in a line. */
  readonly summary: string;
  /** What its `--help` prints. */
  readonly help: string;
  readonly options: O;
  /**
   * Does it.
   *
   * @returns The exit code: 0 for success, 1 for failure.
   * @throws {UsageError} If the arguments are wrong.
   * @throws {Error} With a message for people, if it fails otherwise.
   */
  run(options: Values<O>, operands: readonly string[]): Promise<number>;
}

/** Wrong arguments: exit code 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}
