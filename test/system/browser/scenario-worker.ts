/** A Web Worker that plays the scenario once for each message, and posts what came of it. */
import { type ScenarioOptions, type ScenarioResult, scenario } from './scenario.ts';

/** What a worker has of its global scope. */
interface WorkerScope {
  onmessage: ((event: { readonly data: Partial<ScenarioOptions> }) => void) | null;
  postMessage(message: { readonly result: ScenarioResult } | { readonly error: string }): void;
}

const scope = globalThis as unknown as WorkerScope;
scope.onmessage = ({ data }): void => {
  scenario(data).then(
    (result) => scope.postMessage({ result }),
    (error: unknown) => scope.postMessage({ error: String(error) }),
  );
};
