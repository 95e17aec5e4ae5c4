/**
 * Numbers of a connection for people: what `TcpEndpoint.info` answers.
 *
 * Of an offloaded connection these are the host's last ones; a query of the chimney has the target's.
 */

import { tcpStateName } from '../../tcp/names.ts';
import { rtoUs, rttMinUs, rttVarUs, sRttUs } from '../../tcp/rtt.ts';
import type { TcpInfo } from '../api.ts';
import type { HostEndpoint } from './tcp-endpoint.ts';

/** A snapshot. */
export function infoOf(endpoint: HostEndpoint): TcpInfo {
  const c = endpoint.tcp;
  return {
    state: tcpStateName(c.state),
    location: endpoint.location,
    sRttUs: sRttUs(c),
    rttVarUs: rttVarUs(c),
    minRttUs: rttMinUs(c),
    rtoUs: rtoUs(c, endpoint.transport.parameters),
    cWnd: c.cWnd,
    ssThresh: c.ssThresh,
    sndWnd: c.sndWnd,
    rcvWnd: c.rcvWnd,
    mss: c.effectiveMss,
    bytesSent: endpoint.bytesSent,
    bytesReceived: endpoint.bytesReceived,
    retransmittedSegments: c.retransmittedSegments,
  };
}

/** See `TcpEndpoint.sendBacklog`. */
export function sendBacklogOf(endpoint: HostEndpoint): number {
  const told = endpoint.location === 'host' ? 0 : endpoint.transport.chimney.sendBacklogOf(endpoint);
  return told > 0 ? told : 2 * endpoint.tcp.cWnd;
}
