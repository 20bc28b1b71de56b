import { ingestMappingOptions } from '../../src/codec/mapping-options.ts';
import { createDuplicateWindow } from '../../src/flow/duplicates.ts';
import { createIngest } from '../../src/flow/ingest.ts';
import type { Entry } from '../../src/log/log.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { seededRandom } from '../../src/platform/random.ts';
import type { Ingest, Message } from '../../src/source/source.ts';
import { createHeard, openLog, readAll } from '../log/opened.ts';
import { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';

/** A gateway's way in on a simulated disk, which can be closed, cut off from power and opened again. */
export class IngestWorld {
  readonly clock = new SimClock();
  disk = new SimDisk();
  logger = createHeard();
  metrics = createMetrics();
  ingest!: Ingest;
  window = createDuplicateWindow(1);
  private readonly mappings;
  private readonly windowIds: number;
  private opened: Awaited<ReturnType<typeof openLog>> | undefined;
  private release: (() => void) | undefined;

  constructor(mappings: readonly object[], windowIds = 1_000) {
    this.mappings = mappings.map((mapping) => ingestMappingOptions.parse(mapping));
    this.windowIds = windowIds;
  }

  static async open(mappings: readonly object[], windowIds?: number): Promise<IngestWorld> {
    const world = new IngestWorld(mappings, windowIds);
    await world.start();
    return world;
  }

  async start(): Promise<void> {
    this.opened = await openLog(this.disk, {}, this.clock);
    const { log } = this.opened;
    this.logger = createHeard();
    this.metrics = createMetrics();
    this.window = createDuplicateWindow(this.windowIds);
    for (const entry of await readAll(log)) {
      if (entry.type === 'reading') this.window.remember(entry.id);
    }
    this.ingest = createIngest({
      gateway: 'gw',
      source: 'broker',
      mappings: this.mappings,
      log,
      duplicates: this.window,
      clock: this.clock,
      logger: this.logger,
      metrics: this.metrics,
    });
  }

  get log() {
    return this.opened!.log;
  }

  /** Every sync from now on waits until `letGo`. */
  hold(): void {
    const held = new Promise<void>((resolve) => {
      this.release = resolve;
    });
    this.disk.before = (kind) => (kind === 'sync' ? held : undefined);
  }
  letGo(): void {
    this.disk.before = undefined;
    this.release?.();
  }

  /** Power fails, and comes back. */
  async cut(seed: number): Promise<void> {
    this.disk.crash(seededRandom(seed));
    this.disk = this.disk.restart();
    this.clock.reboot();
    await this.start();
  }

  message(topic: string, payload: string | Uint8Array, more: Partial<Message> = {}): Message {
    return { topic, payload: Buffer.from(payload), receivedAt: this.clock.now(), ...more };
  }

  async recorded(): Promise<Entry[]> {
    return await readAll(this.log);
  }

  async count(name: string): Promise<number> {
    const metric = await this.metrics.registry.getSingleMetric(name)!.get();
    return metric.values.reduce((sum, { value }) => sum + value, 0);
  }
}
