import type { RuleKind } from './rule.ts';
import { silence } from './silence.ts';
import { threshold } from './threshold.ts';

/** Every kind of rule there is. To add one: write the file, add it here and to `config/samples`. */
export const ruleKinds = { silence, threshold } as const satisfies Record<string, RuleKind>;
