/**
 * `grafana`: a dashboard of the service's metrics.
 *
 * @module
 */

import type { Command } from "./command.ts";

/** Prints the dashboard. */
export const grafanaCommand: Command = {
  operands: [],
  summary: "Print a dashboard for Grafana",
  options: {},
  help: `Usage: whatsapp-inbox grafana

Prints a dashboard for Grafana 10 or later, as JSON, to be imported under
Dashboards > New > Import. At its top it has choices of the Prometheus data
source, the scrape job and the instances.

Options:
  -h, --help  Print this text

Exit codes:
  0  The dashboard was printed
  2  Wrong arguments`,

  run() {
    console.log(JSON.stringify(dashboard, null, 2));
    return Promise.resolve(0);
  },
};

/** What is shown: a title, the values' unit in Grafana's words, legends and queries. */
interface Graph {
  readonly title: string;
  readonly unit: string;
  readonly queries: Readonly<Record<string, string>>;
  readonly description?: string;
}

const source = { type: "prometheus", uid: "${datasource}" };
const chosen = 'job="$job",instance=~"$instance"';

/** The metric's rate, summed up by labels. */
function rate(metric: string, labels: string, matchers = ""): string {
  return `sum by (${labels}) (rate(${metric}{${chosen}${matchers}}[$__rate_interval]))`;
}

/** Quantiles of a histogram by their names. */
function quantiles(histogram: string, matchers = ""): Graph["queries"] {
  const buckets = rate(`${histogram}_bucket`, "le", matchers);
  return {
    p50: `histogram_quantile(0.5, ${buckets})`,
    p99: `histogram_quantile(0.99, ${buckets})`,
  };
}

const toWebhook = ',path=~"/webhook.*"';

const sections: Readonly<Record<string, readonly Graph[]>> = {
  Deliveries: [
    {
      title: "Deliveries by result",
      unit: "reqps",
      queries: { "{{result}}": rate("webhook_requests_total", "result") },
    },
    {
      title: "Share of deliveries that fail",
      unit: "percentunit",
      description: "Answered with 5xx; the provider sends them again.",
      queries: {
        "5xx": `(${
          rate("http_requests_total", "job", `${toWebhook},status=~"5.."`)
        } or 0 * ${rate("http_requests_total", "job", toWebhook)}) / ${
          rate("http_requests_total", "job", toWebhook)
        }`,
      },
    },
    {
      title: "Time to answer a delivery",
      unit: "s",
      queries: quantiles("http_request_duration_seconds", toWebhook),
    },
    {
      title: "Messages and events received",
      unit: "rowsps",
      queries: {
        "{{provider}} {{kind}} {{result}}": rate(
          "webhook_rows_total",
          "provider, kind, result",
        ),
      },
    },
    {
      title: "Requests by route and status",
      unit: "reqps",
      queries: {
        "{{path}} {{status}}": rate("http_requests_total", "path, status"),
      },
    },
    {
      title: "Time to answer by route, p99",
      unit: "s",
      queries: {
        "{{method}} {{path}}": `histogram_quantile(0.99, ${
          rate("http_request_duration_seconds_bucket", "path, method, le")
        })`,
      },
    },
  ],
  Store: [
    {
      title: "Rows waiting for a commit",
      unit: "short",
      queries: { "{{instance}}": `store_queue_rows{${chosen}}` },
    },
    {
      title: "Rows in a commit",
      unit: "short",
      queries: quantiles("store_batch_rows"),
    },
    {
      title: "Time of a commit",
      unit: "s",
      queries: quantiles("store_commit_duration_seconds"),
    },
    {
      title: "Rows stored",
      unit: "short",
      queries: {
        "messages {{instance}}": `store_messages{${chosen}}`,
        "events {{instance}}": `store_events{${chosen}}`,
      },
    },
    {
      title: "Bytes on disk",
      unit: "bytes",
      queries: {
        "database {{instance}}": `store_database_bytes{${chosen}}`,
        "log {{instance}}": `store_wal_bytes{${chosen}}`,
        "free {{instance}}": `store_disk_free_bytes{${chosen}}`,
      },
    },
    {
      title: "Time since the last commit",
      unit: "s",
      queries: {
        "{{instance}}":
          `time() - store_last_commit_timestamp_seconds{${chosen}}`,
      },
    },
  ],
  Process: [
    {
      title: "Resident memory",
      unit: "bytes",
      queries: { "{{instance}}": `process_resident_memory_bytes{${chosen}}` },
    },
    {
      title: "CPU cores used",
      unit: "short",
      queries: {
        "{{instance}}": rate("process_cpu_seconds_total", "instance"),
      },
    },
    {
      title: "Requests in flight",
      unit: "short",
      queries: { "{{instance}}": `http_requests_in_flight{${chosen}}` },
    },
    {
      title: "Ready",
      unit: "bool_yes_no",
      queries: { "{{instance}}": `service_ready{${chosen}}` },
    },
    {
      title: "Time since the start",
      unit: "s",
      queries: {
        "{{instance}}": `time() - process_start_time_seconds{${chosen}}`,
      },
    },
    {
      title: "Version",
      unit: "short",
      queries: {
        "{{instance}}: {{version}}, Deno {{deno}}, SQLite {{sqlite}}":
          `build_info{${chosen}}`,
      },
    },
  ],
};

/** Of the dashboard's 24 columns. */
const panelWidth = 8;
const panelHeight = 8;

function panels() {
  const list = [];
  let y = 0;
  for (const [section, graphs] of Object.entries(sections)) {
    list.push({
      type: "row",
      title: section,
      collapsed: false,
      gridPos: { x: 0, y: y++, w: 24, h: 1 },
      panels: [],
    });
    for (const [index, graph] of graphs.entries()) {
      const x = index * panelWidth % 24;
      list.push({
        type: "timeseries",
        title: graph.title,
        description: graph.description,
        datasource: source,
        gridPos: { x, y, w: panelWidth, h: panelHeight },
        fieldConfig: {
          defaults: { unit: graph.unit, min: 0 },
          overrides: [],
        },
        options: { tooltip: { mode: "multi", sort: "desc" } },
        targets: Object.entries(graph.queries).map((
          [legendFormat, expr],
          index,
        ) => ({
          refId: String.fromCharCode("A".charCodeAt(0) + index),
          datasource: source,
          expr,
          legendFormat,
        })),
      });
      if (x + panelWidth === 24) y += panelHeight;
    }
  }
  return list.map((panel, index) => ({ id: index + 1, ...panel }));
}

/** A choice at the dashboard's top, of the values that a label has. */
function labelVariable(name: string, query: string, multi: boolean) {
  return {
    name,
    type: "query",
    datasource: source,
    query: { query, refId: name },
    refresh: 2,
    sort: 1,
    multi,
    includeAll: multi,
    ...(multi && { current: { text: ["All"], value: ["$__all"] } }),
  };
}

/** @see https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/ */
const dashboard = {
  title: "WhatsApp inbox",
  uid: "whatsapp-inbox",
  tags: ["whatsapp-inbox"],
  schemaVersion: 39,
  editable: true,
  // One crosshair for all panels.
  graphTooltip: 1,
  refresh: "30s",
  time: { from: "now-6h", to: "now" },
  templating: {
    list: [
      { name: "datasource", type: "datasource", query: "prometheus" },
      labelVariable("job", "label_values(store_queue_rows, job)", false),
      labelVariable(
        "instance",
        'label_values(store_queue_rows{job="$job"}, instance)',
        true,
      ),
    ],
  },
  panels: panels(),
};
