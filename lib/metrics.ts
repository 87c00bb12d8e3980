/**
 * Counters and histograms in memory, and their Prometheus text form.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 * @module
 */

/** One family of the exposition: its HELP and TYPE lines and its samples. */
interface Family {
  readonly type: "counter" | "histogram";
  readonly help: string;
  samples(name: string): string[];
}

/** A value that only grows, one for each combination of its labels' values. */
export class Counter implements Family {
  readonly type = "counter";
  readonly #values = new Map<string, number>();

  constructor(readonly help: string, readonly labels: readonly string[]) {}

  /** Adds to one series, by default 1; adding 0 makes it appear. */
  add(labelValues: readonly string[], amount = 1): void {
    const key = labelValues.join("\0");
    this.#values.set(key, (this.#values.get(key) ?? 0) + amount);
  }

  samples(name: string): string[] {
    return Array.from(this.#values, ([key, value]) => {
      const pairs = key.split("\0").map((labelValue, index) =>
        `${this.labels[index]}="${escapeLabelValue(labelValue)}"`
      );
      return `${name}{${pairs.join(",")}} ${value}`;
    });
  }
}

/** A distribution over fixed buckets. */
export class Histogram implements Family {
  readonly type = "histogram";
  readonly #counts: number[];
  #sum = 0;

  /** @param bounds The buckets' upper bounds, ascending, without `+Inf`. */
  constructor(readonly help: string, readonly bounds: readonly number[]) {
    this.#counts = new Array(bounds.length + 1).fill(0);
  }

  /** Counts one observation. */
  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.bounds.length && value > this.bounds[bucket]) bucket++;
    this.#counts[bucket]++;
    this.#sum += value;
  }

  samples(name: string): string[] {
    let cumulative = 0;
    const buckets = this.#counts.map((count, index) => {
      cumulative += count;
      return `${name}_bucket{le="${
        this.bounds[index] ?? "+Inf"
      }"} ${cumulative}`;
    });
    return [
      ...buckets,
      `${name}_sum ${this.#sum}`,
      `${name}_count ${cumulative}`,
    ];
  }
}

/** The families of the service by name. */
export class Metrics {
  readonly #families = new Map<string, Family>();

  /** Adds a family and returns it. */
  add<T extends Family>(name: string, family: T): T {
    this.#families.set(name, family);
    return family;
  }

  /** All families in the Prometheus text format, version 0.0.4. */
  text(): string {
    const lines = Array.from(this.#families, ([name, family]) => [
      `# HELP ${name} ${family.help}`,
      `# TYPE ${name} ${family.type}`,
      ...family.samples(name),
    ]);
    return `${lines.flat().join("\n")}\n`;
  }
}

function escapeLabelValue(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')
    .replaceAll("\n", "\\n");
}
