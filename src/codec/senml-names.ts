/**
 * Of which device a SenML name is, and of what field:
 *
 *   urn:dev:ow:10e2073a01080063                the device, field value
 *   urn:dev:ow:10e2073a01080063:voltage        the device, field voltage; RFC 9039 writes _voltage
 *   https://example.com/room-1/temperature     up to the last slash
 *   /3303/0/5700                               a path in the device that the topic names
 *   temperature                                the same
 */

export interface NameParts {
  /** Undefined where the name names none. */
  readonly device: string | undefined;
  readonly field: string;
}

const urnOfDevice = /^(urn:dev:[^:]+:[^:_/;]+)(?:[:_/;]+(.*))?$/s;
const urn = /^(urn:[^:]+:[^:/;]+)(?:[:/;]+(.*))?$/s;
const separatorsAtEnd = /[:/._-]{1,16}$/;
const separatorsAtStart = /^[:/._-]{1,16}/;

/** The name of a record: its base name and its own. Where both have a say, the device is the base. */
export function namePartsOf(base: string, own: string, unit: string | undefined): NameParts {
  if (base !== '' && own !== '' && base.charCodeAt(0) !== slash) {
    const device = deviceOf(base);
    const field = isSeparator(own.charCodeAt(0)) ? own.replace(separatorsAtStart, '') : own;
    if (device !== '' && field !== '') return { device, field };
  }
  return wholePartsOf(base + own, unit);
}

function wholePartsOf(name: string, unit: string | undefined): NameParts {
  const parts = urnOfDevice.exec(name) ?? urn.exec(name);
  if (parts !== null) return { device: parts[1]!, field: parts[2] || fieldFor(unit) };
  if (name.startsWith('/')) return { device: undefined, field: name.slice(1) || fieldFor(unit) };
  const whole = name.replace(separatorsAtEnd, '');
  const cut = whole.includes('/') ? whole.lastIndexOf('/') : whole.lastIndexOf(':');
  // What ends in a separator has no field behind it; `https://host` has no path.
  if (whole.length < name.length || whole[cut - 1] === '/') {
    return { device: whole, field: fieldFor(unit) };
  }
  if (cut <= 0) return { device: undefined, field: name };
  return { device: whole.slice(0, cut), field: whole.slice(cut + 1) };
}

/** The base name of the record before is mostly that of this one. */
let lastBase = '';
let lastDevice = '';
function deviceOf(base: string): string {
  if (base !== lastBase) {
    const device = base.replace(separatorsAtEnd, '');
    if (base.length > baseLengthMax) return device;
    lastBase = base;
    lastDevice = device;
  }
  return lastDevice;
}
const baseLengthMax = 1_024;

const slash = 0x2f;
function isSeparator(code: number): boolean {
  return code >= 0x2d && code <= 0x3a ? code < 0x30 || code === 0x3a : code === 0x5f;
}

/** A place is sent as two values of one name, told apart by their units (RFC 8428, section 5.1.3). */
function fieldFor(unit: string | undefined): string {
  return unit === 'lon' || unit === 'lat' || unit === 'alt' ? unit : 'value';
}
