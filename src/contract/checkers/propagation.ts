/**
 * The rules about what passes an intermediate driver. They are watched by two taps at once (../propagation.ts); here is what the
 * table of checkers has to know of them.
 */

import type { Checker } from '../checker.ts';

/** The rules, in the form of a checker that is never called: for the table, and for how binding each is. */
export const PROPAGATION: Checker = {
  about: 'what passes an intermediate driver',
  must: [
    ...['IM-009', 'IM-010', 'IM-012', 'IM-014', 'IM-022', 'IM-023', 'IM-026', 'IM-027', 'IM-030', 'IM-032', 'IM-033'],
    ...['IM-035', 'IM-036', 'IM-037', 'IM-039', 'IM-041', 'IM-043', 'IM-048', 'IM-049', 'IM-050', 'IM-052'],
    'IM-061',
  ],
  should: ['IM-051', 'IM-054', 'IM-057', 'IM-058'],
};
