import type { Metrics } from '../platform/metrics.ts';
import { type Books, imbalanceOf, sizeOf, waitingOf } from './account.ts';

const outcomes = ['delivered', 'rejected', 'expired', 'dropped', 'unwanted'] as const;

/** Brings the gauges of the lanes' books up to date. */
export function observeLanes(lanes: readonly Books[], last: number, metrics: Metrics): void {
  for (const books of lanes) {
    const { reader, account, backlog } = books;
    for (const outcome of outcomes) {
      metrics.readerEvents.set({ reader, outcome }, account[outcome]);
    }
    metrics.readerEvents.set({ reader, outcome: 'waiting' }, sizeOf(waitingOf(books, last)));
    metrics.auditDifference.set({ reader }, imbalanceOf(books));
    metrics.backlogEvents.set({ reader }, sizeOf(backlog));
  }
}
