/** The engine target's tests over the worker target, both halves in one thread under virtual time. */
import { PairedAdapter } from '../../src/target/worker/paired-adapter.ts';
import { subject } from '../target/support/world.ts';

subject.make = (options) => new PairedAdapter(options);
subject.isApart = true;

await import('../target/sends.test.ts');
await import('../target/delivery.test.ts');
await import('../target/terminate.test.ts');
await import('../target/initiate.test.ts');
await import('../target/operations.test.ts');
await import('../target/objects.test.ts');
await import('../target/interplay.test.ts');
await import('../target/in-progress.test.ts');
await import('../target/delivery-rules.test.ts');
await import('../target/contract-rules.test.ts');
await import('../target/adapter.test.ts');
await import('../target/receive-path.test.ts');
await import('../target/send-mapping.test.ts');
await import('../target/state-variables.test.ts');
await import('../target/statistics.test.ts');
await import('../target/stream.property.test.ts');
await import('../target/tunables.test.ts');
