/**
 * The rules that show in frames below a target. No door of NDIS is there; the conformance suite has the wire in its hands and watches
 * them (conformance/wire-watch.ts). Here is what the table of checkers has to know of them.
 */

import type { Checker } from '../checker.ts';

export const FRAMES: Checker = {
  about: 'frames below the target, in `chimney verify` only',
  must: [
    ...['SEND-040', 'TCP-123', 'STATE-009', 'STATE-015', 'TCP-124', 'TREE-049', 'UPD-027', 'STATE-019', 'STATE-022'],
    ...['STATE-023', 'STATE-027', 'STATE-046', 'STATE-047', 'VLAN-012', 'DISC-005', 'DISC-006', 'DISC-007', 'DISC-014'],
    ...['DISC-015', 'TERM-002', 'TERM-042', 'INV-006', 'TCP-072', 'TCP-074', 'TCP-075', 'TCP-076', 'TCP-082'],
  ],
  should: ['SEND-039', 'SEND-043', 'INV-007', 'TCP-073'],
};
