/**
 * The stage of a demonstration: the server's stack on its links, with capture and counters seated, and its HTTP server.
 */
import type { Server } from 'node:http';
import { createStack, type Runtime, type Stack, type StackLink, SystemRuntime } from 'chimney';
import { Capture } from './capture.ts';
import { Mover, type Route } from './mover.ts';
import { OperationCounter } from './operations.ts';
import type { DemoOptions } from './options.ts';
import { startServer } from './server.ts';
import { Streams } from './streams.ts';

/** A route of a link. */
export interface IpRoute {
  readonly to: string;
  readonly via: string;
}

/** A link of the server, as the scene wants it described. */
export interface SceneLink {
  readonly link: StackLink['link'];
  /** With prefix length. */
  readonly addresses: readonly string[];
  readonly routes: readonly IpRoute[];
  readonly isViaIntermediate: boolean;
  readonly target: 'engine' | 'plain';
}

/** Everything on the server's side. */
export interface Scene {
  readonly options: DemoOptions;
  readonly runtime: Runtime;
  readonly streams: Streams;
  readonly server: Stack;
  readonly http: Server;
  readonly mover: Mover;
  readonly operations: OperationCounter;
  readonly capture: Capture;
}

/** Makes the server. `makeLinks` is called once the capture file could be opened. */
export async function setScene(
  options: DemoOptions,
  movesEach: number,
  makeLinks: (runtime: SystemRuntime) => readonly SceneLink[],
): Promise<Scene> {
  const runtime = new SystemRuntime();
  const links = makeLinks(runtime);
  const capture = new Capture(options.capture, links[0]!.link.medium, runtime);
  const server = createStack({
    runtime,
    verify: true,
    links: links.map(({ link, addresses, routes, isViaIntermediate, target }) => ({
      link,
      addresses,
      routes,
      target,
      capture,
      ...(isViaIntermediate ? { intermediates: ['pass-through' as const] } : {}),
    })),
  });
  const operations = new OperationCounter();
  for (const adapter of hostAdapters(server, links)) server.ndis.attachTap(adapter, operations);
  const streams = new Streams(options.seed);
  const mover = new Mover(
    server,
    links.filter(({ target }) => target === 'engine').map(routeOf),
    options.seed,
    movesEach,
  );
  const http = await startServer(server, streams, mover);
  return { options, runtime, streams, server, http, mover, operations, capture };
}

function routeOf({ link, addresses, isViaIntermediate }: SceneLink): Route {
  return { adapter: link.name, addresses: addresses.map((address) => address.split('/')[0]!), isViaIntermediate };
}

/** The adapters right below the host: the drivers' where there are drivers. */
function hostAdapters(server: Stack, links: readonly SceneLink[]): string[] {
  return links.map(({ link, isViaIntermediate }) => {
    const above = server.ndis.adapterNames.find((name) => name.startsWith(`${link.name}/`));
    return isViaIntermediate && above !== undefined ? above : link.name;
  });
}
