/**
 * Metrics in memory, and their Prometheus text form.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 * @module
 */

/** One family of the exposition: its HELP and TYPE lines and its samples. */
interface Family {
  readonly type: "counter" | "gauge" | "histogram";
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
    return Array.from(
      this.#values,
      ([key, value]) => sample(name, pairs(this.labels, key), value),
    );
  }
}

/**
 * A value that is kept elsewhere and read for every text; while there is none,
 * the family has no sample.
 */
export class Reading implements Family {
  constructor(
    readonly type: "counter" | "gauge",
    readonly help: string,
    readonly read: () => number | undefined,
    readonly labels: Readonly<Record<string, string>> = {},
  ) {}

  samples(name: string): string[] {
    const value = this.read();
    return value === undefined
      ? []
      : [sample(name, Object.entries(this.labels), value)];
  }
}

/** How many observations each bucket has, and the sum of all. */
interface Distribution {
  readonly counts: number[];
  sum: number;
}

/** A distribution over fixed buckets, one for each combination of labels' values. */
export class Histogram implements Family {
  readonly type = "histogram";
  readonly #distributions = new Map<string, Distribution>();

  /** @param bounds The buckets' upper bounds, ascending, without `+Inf`. */
  constructor(
    readonly help: string,
    readonly bounds: readonly number[],
    readonly labels: readonly string[] = [],
  ) {
    if (labels.length === 0) this.add([]);
  }

  /** Makes a series appear, unless it is there. */
  add(labelValues: readonly string[]): void {
    this.#distribution(labelValues);
  }

  /** Counts one observation. */
  observe(value: number, labelValues: readonly string[] = []): void {
    const distribution = this.#distribution(labelValues);
    let bucket = 0;
    while (bucket < this.bounds.length && value > this.bounds[bucket]) bucket++;
    distribution.counts[bucket]++;
    distribution.sum += value;
  }

  samples(name: string): string[] {
    return Array.from(this.#distributions, ([key, { counts, sum }]) => {
      const labels = pairs(this.labels, key);
      let cumulative = 0;
      const buckets = counts.map((count, index) => {
        cumulative += count;
        const le = `${this.bounds[index] ?? "+Inf"}`;
        return sample(`${name}_bucket`, [...labels, ["le", le]], cumulative);
      });
      return [
        ...buckets,
        sample(`${name}_sum`, labels, sum),
        sample(`${name}_count`, labels, cumulative),
      ];
    }).flat();
  }

  #distribution(labelValues: readonly string[]): Distribution {
    const key = labelValues.join("\0");
    let distribution = this.#distributions.get(key);
    if (distribution === undefined) {
      const counts = new Array(this.bounds.length + 1).fill(0);
      distribution = { counts, sum: 0 };
      this.#distributions.set(key, distribution);
    }
    return distribution;
  }
}

/** Bounds for durations in seconds: from half a millisecond to ten seconds. */
export const durationBuckets: readonly number[] = [
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
];

/** The families of the service by name. */
export class Metrics {
  readonly #families = new Map<string, Family>();
  readonly #refreshers: (() => Promise<void>)[] = [];

  /** Adds a family and returns it. */
  add<T extends Family>(name: string, family: T): T {
    this.#families.set(name, family);
    return family;
  }

  /** Has something done before every text: for readings of what has to be asked for. */
  beforeText(refresh: () => Promise<void>): void {
    this.#refreshers.push(refresh);
  }

  /** All families in the Prometheus text format, version 0.0.4. */
  async text(): Promise<string> {
    await Promise.all(this.#refreshers.map((refresh) => refresh()));
    const lines = Array.from(this.#families, ([name, family]) => [
      `# HELP ${name} ${family.help}`,
      `# TYPE ${name} ${family.type}`,
      ...family.samples(name),
    ]);
    return `${lines.flat().join("\n")}\n`;
  }
}

/** A label's name and value. */
type Label = readonly [name: string, value: string];

/** The labels of a series that is known by their values. */
function pairs(names: readonly string[], key: string): Label[] {
  const values = key.split("\0");
  return names.map((name, index) => [name, values[index]]);
}

function sample(name: string, labels: readonly Label[], value: number): string {
  if (labels.length === 0) return `${name} ${value}`;
  const pairs = labels.map(([label, labelValue]) =>
    `${label}="${escapeLabelValue(labelValue)}"`
  );
  return `${name}{${pairs.join(",")}} ${value}`;
}

function escapeLabelValue(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')
    .replaceAll("\n", "\\n");
}
