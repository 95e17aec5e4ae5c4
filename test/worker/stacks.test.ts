/** Whole stacks over the worker target, both halves in one thread: the tests of the engine target, under virtual time. */
import { PairedAdapter } from '../../src/target/worker/paired-adapter.ts';
import { subject } from '../stack/two-hosts.ts';

subject.target = (environment) => new PairedAdapter(environment);

await import('../stack/storm.test.ts');
await import('../stack/through-drivers.test.ts');
await import('../stack/operations.test.ts');
await import('../stack/administration.test.ts');
await import('../stack/first-light.test.ts');
await import('../stack/reading-in-place.test.ts');
