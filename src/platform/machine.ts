import { readFile, statfs } from 'node:fs/promises';

/** What a machine says of itself; what it does not know is left out. */
export interface MachineState {
  /** Celsius. */
  readonly cpu_temperature?: number;
  /** Percent of all cores since the last time it was asked. */
  readonly cpu_used?: number;
  readonly load_1m?: number;
  readonly load_5m?: number;
  readonly load_15m?: number;
  /** Percent. */
  readonly memory_used?: number;
  readonly memory_available_bytes?: number;
  /** Percent, and bytes an ordinary user may still fill, of the disk that holds the data. */
  readonly disk_used?: number;
  readonly disk_available_bytes?: number;
  /** Seconds since the boot. */
  readonly uptime?: number;
  /** Raspberry Pi: the supply was too weak, or the CPU was slowed down; now, and since the boot. */
  readonly under_voltage?: boolean;
  readonly throttled?: boolean;
  readonly under_voltage_since_boot?: boolean;
  readonly throttled_since_boot?: boolean;
}

/** Where Linux says it; another place in tests. */
export interface MachinePaths {
  readonly proc: string;
  readonly sys: string;
}

/** A function that asks this machine. `folder` is on the disk whose room is wanted. */
export function openMachine(
  folder: string,
  { proc, sys }: MachinePaths = { proc: '/proc', sys: '/sys' },
): () => Promise<MachineState> {
  let before: { readonly busy: number; readonly all: number } | undefined;
  const text = async (path: string): Promise<string> => {
    try {
      return await readFile(path, 'utf8');
    } catch {
      return '';
    }
  };
  const cpuUsed = async (): Promise<Pick<MachineState, 'cpu_used'>> => {
    const now = cpuTimesOf(await text(`${proc}/stat`));
    const last = before;
    before = now;
    if (now === undefined || last === undefined || now.all <= last.all) return {};
    return { cpu_used: rounded((100 * (now.busy - last.busy)) / (now.all - last.all)) };
  };
  return async () => ({
    ...temperatureOf(await text(`${sys}/class/thermal/thermal_zone0/temp`)),
    ...(await cpuUsed()),
    ...loadOf(await text(`${proc}/loadavg`)),
    ...memoryOf(await text(`${proc}/meminfo`)),
    ...(await diskOf(folder)),
    ...uptimeOf(await text(`${proc}/uptime`)),
    ...throttlingOf(await text(`${sys}/devices/platform/soc/soc:firmware/get_throttled`)),
  });
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

function temperatureOf(text: string): Pick<MachineState, 'cpu_temperature'> {
  const millidegrees = Number.parseInt(text, 10);
  return Number.isNaN(millidegrees) ? {} : { cpu_temperature: rounded(millidegrees / 1_000) };
}

/** The first line of /proc/stat (proc_stat(5)): user nice system idle iowait irq softirq steal. */
function cpuTimesOf(text: string): { busy: number; all: number } | undefined {
  const line = /^cpu +([\d ]+)/.exec(text)?.[1];
  if (line === undefined) return undefined;
  const times = line.trim().split(/ +/).slice(0, 8).map(Number);
  const all = times.reduce((sum, each) => sum + each, 0);
  return { all, busy: all - (times[3] ?? 0) - (times[4] ?? 0) };
}

function loadOf(text: string): Partial<MachineState> {
  const [one, five, fifteen] = text.split(' ').map(Number);
  if (one === undefined || five === undefined || fifteen === undefined) return {};
  return { load_1m: one, load_5m: five, load_15m: fifteen };
}

function memoryOf(text: string): Partial<MachineState> {
  const kibibytes = (name: string): number =>
    Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(text)?.[1]);
  const total = kibibytes('MemTotal');
  const available = kibibytes('MemAvailable');
  if (Number.isNaN(total) || Number.isNaN(available)) return {};
  return {
    memory_used: rounded((100 * (total - available)) / total),
    memory_available_bytes: available * 1_024,
  };
}

async function diskOf(folder: string): Promise<Partial<MachineState>> {
  try {
    const { bsize, blocks, bfree, bavail } = await statfs(folder);
    const used = blocks - bfree;
    // As df says it: of what an ordinary user may use.
    return {
      disk_used: rounded((100 * used) / (used + bavail)),
      disk_available_bytes: bavail * bsize,
    };
  } catch {
    return {};
  }
}

function uptimeOf(text: string): Pick<MachineState, 'uptime'> {
  const seconds = Number.parseFloat(text);
  return Number.isNaN(seconds) ? {} : { uptime: Math.round(seconds) };
}

/** Bits of the Raspberry Pi's firmware, as `vcgencmd get_throttled` shows them. */
function throttlingOf(text: string): Partial<MachineState> {
  const bits = Number.parseInt(text, 16);
  if (Number.isNaN(bits)) return {};
  const has = (bit: number): boolean => (bits & (1 << bit)) !== 0;
  return {
    under_voltage: has(0),
    throttled: has(2),
    under_voltage_since_boot: has(16),
    throttled_since_boot: has(18),
  };
}
