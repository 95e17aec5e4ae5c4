/** The operations, one after the other: what is said about each, and the run from which its diagram is drawn. */
import { Filter } from '../../src/im/filter.ts';
import { TcpUploadReason } from '../../src/ndis/miniport.ts';
import { drawFailover } from './team-world.ts';
import { World } from './world.ts';

export interface Scene {
  readonly title: string;
  /** Sentences before the diagram; with the ids of rules that say so. */
  readonly text: string;
  readonly play: () => string[];
  /** Participants that are called otherwise here. */
  readonly names?: Readonly<Record<string, string>>;
}

/** An operation on a connection that is at its target. */
function below(act: (world: World) => void): () => string[] {
  return () => {
    const world = new World().offloaded();
    return world.draw(() => act(world));
  };
}

const GOING: readonly Scene[] = [
  {
    title: 'Initiate',
    text: `The host hands a connection down, and with it the path and the neighbor that it hangs on, in one tree. From the call on it serves
the connection no longer; the target serves it from the completion on. What was not taken is told by the status of its block, and stays
with the host (INIT-001, INIT-007, INIT-032). What the application has written and what is not yet acknowledged goes down with the
block, received data that nobody has read likewise (INIT-057, SEND-034).`,
    play: () => {
      const world = new World();
      return world.draw(() => world.offload());
    },
  },
  {
    title: 'Terminate, asked for by the host',
    text: `The state comes back in the delegated structure that the host has hung on the block; sends that are not acknowledged come back as a
chain, data that was received and not delivered as BufferedData, which is returned like any indication (TERM-011, TERM-035, TERM-047). Path
and neighbor go with the last connection that hangs on them (TERM-063). Nothing is freed before.`,
    play: below((world) => {
      world.write(world.server, 2000);
      world.runtime.advance(1500);
      world.takeBack();
    }),
  },
  {
    title: 'Terminate, asked for by the target',
    text: `The target asks for one connection, with a reason. The host must follow a mandatory one (EVT-019, TERM-008); from the event on the target
processes nothing more of the connection, and what arrives is passed up.`,
    play: below((world) => world.target.control.retrieve(null, TcpUploadReason.UPLOAD_REQUESTED)),
  },
  {
    title: 'Pause, upload-all, resume',
    text: `A target that wants to be rid of everything says so with a status. The host offloads nothing more until the target resumes, and then asks
first what it can do now (EVT-031, EVT-038, EVT-039, EVT-043).`,
    play: below((world) => {
      world.target.control.pause();
      world.target.control.uploadAll();
      world.wait();
      world.target.control.resume();
    }),
  },
];

const STATE: readonly Scene[] = [
  {
    title: 'Query',
    text: `Structures are hung on the block, and the target writes the present values into them. Nothing changes (QRY-001, QRY-019). The host keeps
from terminating what it queries until the query is complete (TERM-028).`,
    play: below((world) => world.query()),
  },
  {
    title: 'Update',
    text: `Cached variables are the host's to write: here the type of service of the connection. The target never changes them by itself
(UPD-005, UPD-007, UPD-008).`,
    play: below((world) => world.server.endpoint.setTrafficClass(16)),
  },
  {
    title: 'Invalidate',
    text: `The target stores the list, returns, and completes later. It keeps the object until it is terminated, but sends nothing on it any more and
asks for it to be uploaded (INV-006, INV-008, INV-010).`,
    play: below((world) => world.invalidate()),
  },
];

const DATA: readonly Scene[] = [
  {
    title: 'Send',
    text: `A send always answers PENDING, and completes when the peer has acknowledged its last byte (SEND-001, SEND-002, SEND-017).`,
    play: below((world) => world.write(world.server, 3000)),
  },
  {
    title: 'Receive indication',
    text: `Without posted receives the target indicates what arrives, from its own memory. An accepted list is the host's until it returns it
(RECV-077), and an adapter with lists out does not close (RECV-086).`,
    play: below((world) => world.write(world.client, 1000)),
  },
  {
    title: 'Refused data and a posted receive',
    text: `The application takes 300 bytes and no more: the indication is partially accepted, and the target keeps the rest. When the application
reads on, the host posts a receive of just that size, which is full at once and completed (RECV-002, RECV-078).`,
    play: below((world) => {
      world.server.appetite = 300;
      world.write(world.client, 1000);
      world.wait();
      world.server.appetite = Number.POSITIVE_INFINITY;
      world.server.endpoint.resume();
    }),
  },
  {
    title: 'Forward',
    text: `A segment that reached the host although its connection is at the target (it was on its way while the connection went down; here a
driver between has delayed it) is forwarded, never answered with a reset (FWD-001).`,
    play: () => {
      const world = new World({ kind: 'impair', in: { delayUs: 20_000 }, offload: 'pass' });
      world.write(world.client, 500);
      world.wait(5000);
      world.offload();
      return world.draw(() => undefined);
    },
  },
];

const ENDING: readonly Scene[] = [
  {
    title: 'Graceful disconnect',
    text: `Data first, then the FIN; SUCCESS only once the FIN is acknowledged (DISC-015, DISC-024). The connection comes back when the peer has
finished as well.`,
    play: below((world) => {
      world.write(world.server, 1000);
      world.server.endpoint.shutdown();
      world.wait(20_000);
      world.client.endpoint.shutdown();
    }),
  },
  {
    title: 'Abortive disconnect',
    text: `An RST leaves, sends that are outstanding come back with REQUEST_ABORTED, then the disconnect completes (DISC-006, DISC-014).`,
    play: below((world) => {
      world.write(world.server, 1000);
      world.runtime.advance(500);
      world.server.endpoint.abort();
    }),
  },
  {
    title: 'A reset by the peer',
    text: `TcpIndicateAbort, and everything outstanding comes back (DISC-037, EVT-030).`,
    play: below((world) => world.client.endpoint.abort()),
  },
];

const BETWEEN: readonly Scene[] = [
  {
    title: 'Through an intermediate driver',
    text: `Each call is made twice: by the host to the driver between, by that to the target. The driver keeps an entry for each object and has a
handle of its own; block lists are rebuilt on the way down and restored on the way up (IM-007, IM-020 to IM-027).`,
    play: () => {
      const world = new World('pass-through');
      return world.draw(() => {
        world.offload();
        world.wait(50_000);
        world.write(world.server, 1000);
        world.wait(50_000);
        world.takeBack();
      });
    },
  },
  {
    title: 'An upload that a driver between asks for',
    text: `A filter whose rules have changed asks for a connection as a target would: with an event to the host (IM-047).`,
    play: () => {
      const world = new World({ kind: 'filter', rules: [] }).offloaded();
      const filter = world.stack.driver(Filter);
      return world.draw(() => filter.setRules([{ match: 'tcp port 80', action: 'upload' }]));
    },
  },
  {
    title: 'Failover of a team',
    text: `The link in use is cut. Frames go the other way at once, and the host is told to announce itself there; what is offloaded is taken back
from the target behind the dead wire, which is alive, and goes down to the other (EVT-036, EVT-045, IM-065). What is set is set at both members.
See [the team](drivers/team.md).`,
    names: { D: 'team', A: 'target, first link', B: 'target, second link' },
    play: drawFailover,
  },
];

export const CHAPTERS: readonly { readonly title: string; readonly scenes: readonly Scene[] }[] = [
  { title: 'Down and up', scenes: GOING },
  { title: 'State', scenes: STATE },
  { title: 'Data', scenes: DATA },
  { title: 'The end of a connection', scenes: ENDING },
  { title: 'Drivers between', scenes: BETWEEN },
];
