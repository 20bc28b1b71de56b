import type { Extensions, Value } from '../event/event.ts';
import { DecodeError, type FoundReading } from './codec.ts';
import { type Births, type KnownMetric, metricNameMax } from './sparkplug-nodes.ts';
import type { Metric, Payload } from './sparkplug-payload.ts';
import { putValue, type ValueTarget } from './sparkplug-values.ts';

/** Values in one reading; more of one moment are several readings. */
const fieldsMax = 256;
/** Values in one message. */
const valuesMax = 20_000;

/** What was measured at one moment. */
class Group {
  readonly time: number | undefined;
  /** 1 historical, 2 transient, 3 both. */
  readonly marks: number;
  readonly fields: Record<string, Value> = {};
  count = 0;

  constructor(time: number | undefined, marks: number) {
    this.time = time;
    this.marks = marks;
  }
}

/** Neither is to raise an alert as if it were of now, nor (transient) to be kept for long. */
const marksOf: readonly (Extensions | undefined)[] = [
  undefined,
  Object.freeze({ historical: 'true' }),
  Object.freeze({ transient: 'true' }),
  Object.freeze({ historical: 'true', transient: 'true' }),
];

/** Puts the metrics of a message together that were measured at one moment, under their names. */
export class Gathering implements ValueTarget {
  /** Why something in the message was left out, of the first of it. */
  problem: string | undefined = undefined;
  /** Whether a metric was not understood without a birth. */
  hasUnknown = false;
  private readonly groups: Group[] = [];
  /** Made when there is a second one. */
  private byMoment: Map<string, Group> | undefined = undefined;
  private last: Group | undefined = undefined;
  private values = 0;

  /** Takes aliases from `births`, else from `others`: they are unique within an edge node. */
  add(payload: Payload, births: Births | undefined, others: Births | undefined): void {
    for (const metric of payload.metrics) {
      const { name, alias } = metric;
      const known =
        name !== undefined
          ? births?.names.get(name)
          : (births?.aliases.get(alias!) ?? others?.aliases.get(alias!));
      if (name === undefined && known === undefined) this.unknown(alias);
      else if (!metric.isNull) this.addMetric(metric, known, payload.timestamp);
    }
  }

  readingsOf(device: string, tags: Readonly<Record<string, string>>): FoundReading[] {
    return this.groups.map(({ time, marks, fields }) => ({
      device,
      measurement: 'sparkplug',
      tags,
      time,
      fields,
      extensions: marksOf[marks],
    }));
  }

  put(name: string, value: Value): void {
    if (name.length > metricNameMax) {
      this.problem ??= `The name of a metric has more than ${metricNameMax} characters.`;
      return;
    }
    // Assigning it would mean the prototype; no metric is called so.
    if (name === '__proto__') return;
    if (++this.values > valuesMax) {
      throw new DecodeError(`More than ${valuesMax} values in one message.`);
    }
    let group = this.last!;
    if (group.count === 0) this.groups.push(group);
    else if (group.count >= fieldsMax) {
      group = this.next(group.time, group.marks);
      this.groups.push(group);
    }
    group.count++;
    group.fields[name] = value;
  }

  private addMetric(
    metric: Metric,
    known: KnownMetric | undefined,
    sentAt: number | undefined,
  ): void {
    const name = metric.name ?? known!.name;
    if (isOfTheProtocol(name)) return;
    const datatype = metric.datatype === 0 ? (known?.datatype ?? 0) : metric.datatype;
    const marks = (metric.isHistorical ? 1 : 0) | (metric.isTransient ? 2 : 0);
    this.select(metric.timestamp ?? sentAt, marks);
    putValue(this, name, metric, datatype);
  }

  /** Makes the group of that moment the one that values are put into. */
  private select(time: number | undefined, marks: number): void {
    const { last } = this;
    if (last === undefined) this.last = new Group(time, marks);
    else if (last.time !== time || last.marks !== marks) {
      this.byMoment ??= new Map([[keyOf(last.time, last.marks), last]]);
      this.last = this.byMoment.get(keyOf(time, marks)) ?? this.next(time, marks);
    }
  }

  private next(time: number | undefined, marks: number): Group {
    const group = new Group(time, marks);
    this.byMoment?.set(keyOf(time, marks), group);
    this.last = group;
    return group;
  }

  private unknown(alias: number | bigint | undefined): void {
    this.hasUnknown = true;
    this.problem ??=
      alias === undefined
        ? 'A metric has neither name nor alias.'
        : `The alias ${alias} is not known: the birth that says what it is has not been seen.`;
  }
}

function keyOf(time: number | undefined, marks: number): string {
  return `${time} ${marks}`;
}

/** What nodes and hosts say to each other is no measurement. */
function isOfTheProtocol(name: string): boolean {
  return name === 'bdSeq' || name.startsWith('Node Control/') || name.startsWith('Device Control/');
}
