/** The types of serve.mjs, for its tests. */

/** A server of files that runs. */
export interface Served {
  /** Without a slash at its end. */
  readonly url: string;
  close(): Promise<void>;
}

export function serve(folder: string, port?: number): Promise<Served>;
