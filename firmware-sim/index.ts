/** What tests and programs use of the simulated devices. */
export { type Behaviour, compose, type Moment } from './behaviour/behaviour.ts';
export { behaviours, linkBehaviours } from './behaviour/index.ts';
export { createDevice, type Device, type DeviceMessage } from './device.ts';
export { type Fleet, type FleetOptions, type FleetReport, openFleet } from './fleet.ts';
export { directTransport } from './link/direct.ts';
export { transportTo } from './link/index.ts';
export { parseScenario, ScenarioError } from './scenario/load.ts';
export { type RunOptions, runScenario, type ScenarioReport } from './scenario/run.ts';
export type { Scenario } from './scenario/schema.ts';
export { climateLayout, climateProto } from './shape/coded.ts';
export { shapeNamed, shapeNames } from './shape/index.ts';
export type { Shape } from './shape/shape.ts';
