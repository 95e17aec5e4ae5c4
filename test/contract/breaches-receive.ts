/** Breaches of the rules about receive indications and returns, one each. */

import { NdisStatus, TcpOffloadEventType, TcpUploadReason } from '../../src/ndis/status.ts';
import { DataOperation } from '../../src/ndis/tap.ts';
import { NetBuffer, type NetBufferList } from '../../src/state/net-buffer-list.ts';
import type { TcpDelegatedState } from '../../src/state/tcp.ts';
import { chainOf, connectionTree, data } from '../ndis/fakes.ts';
import { type Breach, breach } from './scene.ts';

const { RECEIVE } = DataOperation;
const { SUCCESS } = NdisStatus;

const { INDICATE_DISCONNECT, INDICATE_RETRIEVE } = TcpOffloadEventType;

function twoBuffers(): NetBufferList {
  const list = data(10);
  list.firstNetBuffer!.next = new NetBuffer(null, 5);
  return list;
}

export const RECEIVE_BREACHES: readonly Breach[] = [
  breach('RECV-069', 'an indication of a chain', (s) => void s.offload().indicate(chainOf([data(1), data(2)])!)),
  breach('RECV-070', 'an indication of two buffers', (s) => void s.offload().indicate(twoBuffers())),
  breach('RECV-071', 'an indication with Status RESOURCES', (s) => {
    s.offload().indicate(data(10), NdisStatus.RESOURCES);
  }),
  breach('NBL-005', 'an indication of a list that the host holds', (s) => {
    s.offload();
    s.indicate(s.indicate());
  }),
  breach(
    'NBL-011',
    'an indication of a posted receive',
    (s) => {
      s.offload();
      s.indicate(s.receive(10));
    },
    'RECV-013',
  ),
  breach('INIT-050', 'an indication before the initiate has completed', (s) => {
    s.bind();
    const { root, handles } = connectionTree();
    s.handles = handles;
    s.initiate(root);
    s.indicate();
  }),
  breach('INIT-050', 'an indication inside the completion of the initiate', (s) => {
    s.host.onInitiated = () => void s.indicate();
    s.offload();
  }),
  breach('INIT-062', 'buffered data of the initiate indicated before a receive was posted', (s) => {
    s.offload(({ tcp }) => {
      (tcp.delegatedState as TcpDelegatedState).bufferedData = data(5);
    });
    s.indicate();
  }),
  breach('RECV-040', 'refused data indicated again', (s) => {
    s.offload().refusing();
    s.indicate();
    s.indicate();
  }),
  breach('RECV-041', 'an indication while a receive posted after a refusal waits', (s) => {
    s.offload().refusing();
    s.indicate();
    s.receive(0);
    s.indicate();
  }),
  breach('RECV-013', 'an indication while a receive is posted', (s) => {
    s.offload();
    s.receive(10);
    s.indicate();
  }),
  breach('DISC-011', 'an indication after an abortive disconnect', (s) => {
    s.offload().abortive();
    s.indicate();
  }),
  breach('DISC-035', 'data after the disconnect event', (s) => {
    s.offload().event(INDICATE_DISCONNECT);
    s.indicate();
  }),
  breach('EVT-019', 'an indication after a mandatory Retrieve, before the terminate', (s) => {
    s.offload().event(INDICATE_RETRIEVE, TcpUploadReason.UPLOAD_REQUESTED);
    s.indicate();
  }),
  breach('EVT-019', 'a receive posted after a mandatory Retrieve that is filled', (s) => {
    s.offload().event(INDICATE_RETRIEVE, TcpUploadReason.UPLOAD_REQUESTED);
    s.complete(RECEIVE, s.receive(10), SUCCESS, 10);
  }),
  breach('CTX-010', 'an indication on a terminated connection', (s) => {
    s.offload().terminate();
    s.indicate();
  }),
  breach('RECV-061', 'an empty receive that succeeds though more is to come', (s) => {
    s.offload();
    s.complete(RECEIVE, s.receive(10), SUCCESS, 0);
    s.indicate();
  }),
  breach('RECV-053', 'a nonpush receive that is not full though more is to come', (s) => {
    s.offload();
    const list = data(10);
    list.tcpReceiveNoPush = true;
    s.post(RECEIVE, list);
    s.complete(RECEIVE, list, SUCCESS, 4);
    s.indicate();
  }),
  breach('RECV-015', 'an indication inside another', (s) => {
    s.offload();
    let isFirst = true;
    s.host.answer = () => {
      if (isFirst) {
        isFirst = false;
        s.indicate();
      }
      return { status: SUCCESS, consumed: 10 };
    };
    s.indicate();
  }),
  breach('RECV-017', 'a completion inside the completion in which the receive was posted', (s) => {
    s.offload();
    const first = s.receive(10);
    let isFirst = true;
    s.host.onReceived = () => {
      if (!isFirst) return;
      isFirst = false;
      s.complete(RECEIVE, s.receive(10), SUCCESS, 10);
    };
    s.complete(RECEIVE, first, SUCCESS, 10);
  }),
  breach('RECV-073', 'SUCCESS with fewer bytes consumed', (s) => {
    s.offload().answering(SUCCESS, 9);
    s.indicate();
  }),
  breach('RECV-074', 'a refusal with bytes consumed', (s) => {
    s.offload().answering(NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED, 1);
    s.indicate();
  }),
  breach('RECV-075', 'a partial acceptance of all bytes', (s) => {
    s.offload().answering(NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED, 10);
    s.indicate();
  }),
  breach('RECV-076', 'a return of a refused list', (s) => {
    s.offload().refusing();
    s.returnLists(s.indicate());
  }),
  breach('RECV-077', 'a return of a list that was never indicated', (s) => s.offload().returnLists(data(1))),
  breach('RECV-077', 'an accepted list that is never returned', (s) => {
    s.offload().indicate();
    s.verifier.finish();
  }),
  breach('NBL-009', 'a list returned twice', (s) => {
    const list = s.offload().indicate();
    s.returnLists(list);
    s.returnLists(list);
  }),
  breach('NBL-009', 'a posted list returned', (s) => {
    s.offload();
    s.returnLists(s.receive(10));
  }),
  breach('NBL-019', 'an ordinary frame returned as a chimney indication', (s) => {
    s.bind();
    const frame = data(60);
    s.target.ndisM.indicateReceiveNetBufferLists(s.target.handle, frame, 0, 0);
    s.returnLists(frame);
  }),
  breach('RECV-086', 'a close with a list out', (s) => {
    s.offload().indicate();
    s.verifier.closed();
  }),
];
