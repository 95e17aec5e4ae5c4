/**
 * Options that links have in common, and what is said of wrong ones. A link's own are judged where they are used.
 */

import { ANY, type Expectations, having, oneOf, TEXT } from '../base/options.ts';

/** Options of every link. `mtu` is judged by the link, which knows its range. */
export const LINK_OPTIONS: Expectations = {
  runtime: having("a runtime (the stack's own: new SystemRuntime())", 'nowUs', 'timer'),
  name: TEXT,
  medium: oneOf('ethernet', 'ip'),
  mtu: ANY,
  trace: having('a Trace', 'count'),
};
