/**
 * Every function of the DDI of TCP chimney offload, by the side that calls it and the one that provides it. The names are
 * those of the public reference pages; which method of ours is meant says the docstring that repeats the name.
 */

export interface DdiGroup {
  readonly title: string;
  readonly caller: string;
  readonly provider: string;
  readonly functions: readonly string[];
}

const OPERATIONS = ['Initiate', 'Terminate', 'Update', 'Query', 'Invalidate'];
const DATA = ['Send', 'Receive', 'Disconnect', 'Forward'];

export const DDI_GROUPS: readonly DdiGroup[] = [
  {
    title: 'Registration',
    caller: 'host, target, intermediate driver',
    provider: 'NDIS',
    functions: ['NdisSetOptionalHandlers', 'NdisMGetOffloadHandlers'],
  },
  {
    title: 'State manipulation, called from above',
    caller: 'host, intermediate driver',
    provider: 'NDIS',
    functions: OPERATIONS.map((name) => (name === 'Query' ? 'NdisQueryOffloadState' : `Ndis${name}Offload`)),
  },
  {
    title: 'State manipulation, entries',
    caller: 'NDIS',
    provider: 'target, intermediate driver',
    functions: OPERATIONS.map((name) => `Miniport${name}Offload`),
  },
  {
    title: 'State manipulation, completing',
    caller: 'target, intermediate driver',
    provider: 'NDIS',
    functions: OPERATIONS.map((name) =>
      name === 'Query' ? 'NdisMQueryOffloadStateComplete' : `NdisM${name}OffloadComplete`,
    ),
  },
  {
    title: 'State manipulation, completed',
    caller: 'NDIS',
    provider: 'host, intermediate driver',
    functions: OPERATIONS.map((name) => `Protocol${name}OffloadComplete`),
  },
  {
    title: 'Data, called from above',
    caller: 'host, intermediate driver',
    provider: 'NDIS',
    functions: [...DATA.map((name) => `NdisOffloadTcp${name}`), 'NdisOffloadTcpReceiveReturn'],
  },
  {
    title: 'Data, entries',
    caller: 'NDIS',
    provider: 'target, intermediate driver',
    functions: [...DATA.map((name) => `MiniportTcpOffload${name}`), 'MiniportTcpOffloadReceiveReturn'],
  },
  {
    title: 'Data, completing and indicating',
    caller: 'target, intermediate driver',
    provider: 'NDIS',
    functions: [...DATA.map((name) => `NdisTcpOffload${name}Complete`), 'NdisTcpOffloadReceiveHandler'],
  },
  {
    title: 'Data, completed and indicated',
    caller: 'NDIS',
    provider: 'host, intermediate driver',
    functions: [...DATA.map((name) => `ProtocolTcpOffload${name}Complete`), 'ProtocolTcpOffloadReceiveIndicate'],
  },
  {
    title: 'Events, indicating',
    caller: 'target, intermediate driver',
    provider: 'NDIS',
    functions: ['NdisTcpOffloadEventHandler', 'NdisMOffloadEventIndicate', 'NdisMIndicateStatusEx'],
  },
  {
    title: 'Events, indicated',
    caller: 'NDIS',
    provider: 'host, intermediate driver',
    functions: ['ProtocolTcpOffloadEvent', 'ProtocolIndicateOffloadEvent', 'ProtocolStatusEx'],
  },
  {
    title: 'The life of an adapter, entries of its driver',
    caller: 'NDIS',
    provider: 'target, intermediate driver',
    functions: ['MiniportPause', 'MiniportRestart', 'MiniportResetEx', 'MiniportDevicePnPEventNotifyEx'],
  },
  {
    title: 'The life of an adapter, called by its driver',
    caller: 'target, intermediate driver',
    provider: 'NDIS',
    functions: [
      'NdisMPauseComplete',
      'NdisMRestartComplete',
      'NdisMResetComplete',
      'NdisMRemoveMiniport',
      'NdisIMNotifyPnPEvent',
      'NdisIMDeInitializeDeviceInstance',
    ],
  },
  {
    title: 'The life of an adapter, as protocols are told of it',
    caller: 'NDIS',
    provider: 'host, intermediate driver',
    functions: ['ProtocolNetPnPEvent', 'ProtocolUnbindAdapterEx'],
  },
  {
    title: 'What is not of the chimney and passes the same doors',
    caller: 'either side',
    provider: 'the other',
    functions: [
      'NdisOpenAdapterEx',
      'NdisCloseAdapterEx',
      'NdisOidRequest',
      'NdisCompleteNetPnPEvent',
      'NdisSendNetBufferLists',
      'NdisReturnNetBufferLists',
      'MiniportInitializeEx',
      'MiniportHaltEx',
      'MiniportOidRequest',
      'MiniportSendNetBufferLists',
      'MiniportReturnNetBufferLists',
      'NdisMSetMiniportAttributes',
      'NdisMSendNetBufferListsComplete',
      'NdisMIndicateReceiveNetBufferLists',
      'NdisMOidRequestComplete',
      'ProtocolReceiveNetBufferLists',
      'ProtocolSendNetBufferListsComplete',
      'ProtocolOidRequestComplete',
    ],
  },
];
