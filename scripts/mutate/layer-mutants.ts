/** Mutants around the target's data path: NDIS, intermediate drivers, the host, neighbors, OIDs, statistics, VLANs, queues. */
import { type Mutant, mutantsIn } from './mutant.ts';

const NDIS_MUTANTS: readonly Mutant[] = [
  ...mutantsIn('src/ndis/lower-functions.ts', [
    ['CAP-011', 'if (chimneyType !== NdisChimneyOffloadType.TCP || !(handle as Adapter).hasChimney) return null;', ''],
    ['TERM-070', 'this.tellProtocol(binding, { code: NetPnpEventCode.MEDIA_DISCONNECT }, () => undefined);', ''],
    ['CAP-012', 'type: NdisChimneyOffloadType.TCP,', 'type: 99,'],
  ]),
  ...mutantsIn('src/ndis/miniport.ts', [
    ['CAP-012', 'if (type !== NdisChimneyOffloadType.TCP) return null;', ''],
    [
      'CAP-013',
      'if (from === null) return null;',
      'if (from !== null) return from;\n  if (from === null) return null;',
    ],
  ]),
  ...mutantsIn('src/ndis/adapter.ts', [
    ['CAP-008', 'return this.generic !== null && this.tcp !== null;', 'return this.generic !== null;'],
  ]),
  ...mutantsIn('src/ndis/upper-functions.ts', [
    [
      'IM-015',
      '    root.sourceHandle = handle;\n',
      '',
      'test/ndis/ndis-library.test.ts',
      'test/im/propagation.test.ts',
    ],
    [
      'IM-034',
      'const context = handle.miniportOffloadContext;\n  assert(context !== null',
      'const context: unknown = handle;\n  assert(context !== null',
    ],
  ]),
  ...mutantsIn('src/ndis/offload-statistics.ts', [
    ['STAT-023', 'resetEstablished: this.resetEstablished >>> 0,', 'resetEstablished: this.resetEstablished,'],
  ]),
];

const DRIVER_MUTANTS: readonly Mutant[] = [
  ...mutantsIn('src/im/intermediate-driver.ts', [
    ['IM-001', 'if (status !== NdisStatus.SUCCESS) return status;\n    return ndis', 'return status;\n    return ndis'],
    [
      'IM-014',
      'this.ndis.queryOffloadState(this.below, this.#passDown(StateOperation.QUERY, offloadBlockList));',
      'this.ndis.updateOffload(this.below, this.#passDown(StateOperation.QUERY, offloadBlockList));',
    ],
    ['IM-020', '    this.#callEntries++;\n', ''],
    [
      'IM-022',
      'root.imReserved[0] = new ImCallEntry(operation, root);',
      'root.imReserved[1] = new ImCallEntry(operation, root);',
    ],
    ['IM-027', '    overlayAsMiniportBlocks(this.#walk, root);\n    return root;', '    return root;'],
    ['IM-028', '    this.#callEntries--;\n', ''],
    [
      'IM-035',
      'return this.ndis.offloadTcpForward((offloadContext as ImOffloadEntry).handle, lists);',
      'return this.ndis.offloadTcpForward((offloadContext as ImOffloadEntry).handleAbove, lists);',
    ],
    [
      'IM-037',
      'return this.ndis.offloadTcpDisconnect(entry.handle, list, flags);',
      'return this.ndis.offloadTcpDisconnect(entry.handle, list, 0);',
    ],
    ['IM-041', 'return this.ndis.offloadTcpReceiveReturn(this.below, lists);', 'return NdisStatus.SUCCESS;'],
    [
      'IM-043',
      'if (entry.hasRefusedSend || this.#sendListsBelow + count > this.#maxSendLists) this.#refuseSend(entry, lists);',
      'if (entry.hasRefusedSend) this.#refuseSend(entry, lists);',
    ],
    ['IM-048', 'const above = entryOf(offloadContext).handleAbove;', 'const above = offloadContext;'],
    [
      'IM-049',
      'tcpOffloadEventHandler(above, eventType, eventSpecificInformation)',
      'tcpOffloadEventHandler(above, eventType, 0)',
    ],
    [
      'IM-051',
      'entryOf(offloadContext).handleAbove, list, status, bytesConsumed)',
      'entryOf(offloadContext).handleAbove, list, 1, bytesConsumed)',
      'test/conformance/explore.test.ts',
    ],
    ['IM-052', 'list, status, bytesConsumed);\n  }', 'list, status, { value: 0 });\n  }'],
    ['IM-061', 'if (block !== null) overlayAsMiniportBlocks(this.#walk, block);', ''],
    ['IM-054', 'return this.ndis.oidRequest(this.below, request);', 'return NdisStatus.NOT_SUPPORTED;'],
    ['IM-007', 'this.#offloadEntries -= ended;', ''],
  ]),
  ...mutantsIn('src/im/filter.ts', [
    ['EVT-019', 'if (standstill?.keeps(DataOperation.SEND, lists)) return NdisStatus.PENDING;', ''],
    ['EVT-019', 'if (standstillOf(entryOf(offloadContext)) !== null) {', 'if (false) {'],
    ['DISC-008', '    this.#away.flush();\n    super', '    super'],
  ]),
  ...mutantsIn('src/im/standstill.ts', [
    ['TERM-032', '    this.#giveBack(RECEIVE);\n    this.answer();', '    this.answer();'],
    ['TERM-057', ': NdisStatus.UPLOAD_IN_PROGRESS;', ': NdisStatus.SUCCESS;'],
  ]),
  ...mutantsIn('src/im/entries.ts', [
    ['IM-021', 'this.#sourceHandle = root.sourceHandle;', 'this.#sourceHandle = null;'],
    ['IM-026', 'root.imReserved[0] = this.#imReserved0;', ''],
    ['IM-009', 'this.handle = new NdisOffloadHandle(this);', 'this.handle = handleAbove;'],
  ]),
  ...mutantsIn('src/im/block-lists.ts', [
    ['IM-017', '    block.ndisOffloadHandle = handle;\n', ''],
    [
      'IM-013',
      'block.offloadHandle = (slot.miniportOffloadContext as ImOffloadEntry).handle;',
      'block.offloadHandle = (slot.miniportOffloadContext as ImOffloadEntry).handleAbove;',
    ],
  ]),
];

const HOST_MUTANTS: readonly Mutant[] = [
  ...mutantsIn('src/host/chimney/operations.ts', [
    ['NBR-019', 'cached.hostReachabilityDelta = Math.max(1, Math.min(0xffffffff, Math.floor(ticks)));', ''],
    ['NBR-021', '    cached.hostReachabilityDelta = 0;\n', ''],
    ['NBR-023', 'if (nrd < indicated) entry.confirmReachable', 'if (false) entry.confirmReachable'],
    ['NBR-026', 'Math.max(1, Math.min(0xffffffff, Math.floor(ticks)))', '0'],
    [
      'UPD-030',
      '!object.needsUpdate || object.isUpdating || object.state',
      '!object.needsUpdate || object.state',
      'test/stack/operations.test.ts',
    ],
    ['UPD-007', 'connection.needsUpdate = true;', ''],
    [
      'UPD-009',
      'neighborMacChanged(neighbor: OffloadedNeighbor): void {',
      'neighborMacChanged(neighbor: OffloadedNeighbor): void {\n    if (neighbor.isOffloaded) return;',
    ],
    [
      'UPD-012',
      'pathMtuChanged(path: OffloadedPath): void {',
      'pathMtuChanged(path: OffloadedPath): void {\n    if (path.isOffloaded) return;',
    ],
    ['UPD-035', "this.#context.moves.requestTakeBack(connection, 'failure', null, null);", ''],
    ['QRY-012', "this.#context.moves.requestTakeBack(connection, 'failure', null, null);", ''],
    ['UPD-023', 'root.dependentBlockList = block;', 'void 0;'],
  ]),
  ...mutantsIn('src/host/chimney/going-down.ts', [
    ['INIT-057', 'delegated.bufferedData = endpoint.takeUnread();', ''],
    ['INIT-065', 'block.netBufferListChain = this.#takeSends(connection);', ''],
    ['INIT-075', '& Effect.TRANSMIT) !== 0) endpoint.pump(nowUs);', '& Effect.TRANSMIT) !== 0) void 0;'],
    ['INIT-086', 'writeDelegated(connection.endpoint.tcp, this.#context.parameters, delegated, nowUs);', ''],
    ['INIT-034', 'giveBackToHost(this.#context, connection, nowUs);\n    const isFull', 'const isFull'],
    [
      'INIT-025',
      'block.status === NdisStatus.SUCCESS || block.status === NdisStatus.OFFLOAD_PARTIAL_SUCCESS',
      'block.status === NdisStatus.SUCCESS',
    ],
  ]),
  ...mutantsIn('src/host/chimney/coming-back.ts', [
    ['TERM-020', "if (isLost && !connection.isReleased) endpoint.failed(connection.aborted ?? 'ECONNABORTED');", ''],
    ['TERM-086', 'readDelegated(endpoint.tcp, this.#context.parameters, delegated, nowUs);', ''],
    ['TERM-049', 'if (buffered !== null) restoreUnread(connection, buffered);', ''],
    [
      'TERM-050',
      'if (buffered !== null) this.#context.ndis.offloadTcpReceiveReturn(connection.adapter.binding, buffered);',
      '',
    ],
    ['TERM-064', 'if (path.dependents !== connections.length || !mayGo(path)', 'if (!mayGo(path)'],
    [
      'TERM-066',
      '      if (path.dependents === 0 && mayGo(path) && !wanted.has(path)) this.#terminateLone(path);\n',
      '',
      'test/stack/operations.test.ts',
      'test/stack/host-duties.test.ts',
    ],
  ]),
  ...mutantsIn('src/host/chimney/hand-over.ts', [
    ['TERM-059', 'if (returned !== null) restoreSendData(tcp, context.parameters, returned);', ''],
    ['TERM-062', 'endpoint.processSegment(segment.bytes, 0, segment.bytes.length, nowUs);', ''],
  ]),
  ...mutantsIn('src/host/chimney/data-path.ts', [
    ['EVT-028', 'outstandingBytes === 0 || sendBacklog === 0 || outstandingBytes < sendBacklog', 'true'],
    ['IM-044', "this.#context.moves.requestTakeBack(connection, 'retrieve', 'RequestUpload', null);", ''],
    [
      'RECV-074',
      'taken === 0 ? NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED : NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED',
      'NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED',
    ],
    ['RECV-075', 'bytesConsumed.value = taken;', 'bytesConsumed.value = offered;'],
    ['RECV-084', 'list.next = this.#returns.get(connection.adapter) ?? null;', 'list.next = null;'],
    ['FWD-004', 'this.#context.ndis.offloadTcpForward(connection.handle, list);', ''],
    ['EVT-022', 'isMandatoryUploadReason(information) || this.#context.grantsOptionalUploads', 'true'],
    ['EVT-021', 'isMandatoryUploadReason(information) || this.#context.grantsOptionalUploads', 'false'],
    ['TERM-008', 'isMandatoryUploadReason(information) || this.#context.grantsOptionalUploads', 'false'],
    ['DISC-027', 'if (list.status !== NdisStatus.SUCCESS || isOver) {', 'if (isOver) {'],
    ['DISC-016', 'const list = emptyNetBufferList();', 'const list = netBufferListOver(new Uint8Array(1));'],
  ]),
  ...mutantsIn('src/host/chimney/tree.ts', [
    [
      'NBR-003',
      'delegated.nicReachabilityDelta = cached.hostReachabilityDelta;',
      'delegated.nicReachabilityDelta = cached.hostReachabilityDelta + 1;',
      'test/stack/first-light.test.ts',
    ],
    [
      'STATE-018',
      'new PathConstState(path.entry.local.bytes, path.entry.remote.bytes)',
      'new PathConstState(path.entry.remote.bytes, path.entry.local.bytes)',
    ],
    [
      'TREE-009',
      'for (const connection of connections) tcps.add(tcpBlock(connection));\n      pathBlock.dependentBlockList = tcps.first;\n      paths.add(pathBlock);\n    }\n    neighborBlock',
      'for (const connection of connections.slice(0, 1)) tcps.add(tcpBlock(connection));\n      pathBlock.dependentBlockList = tcps.first;\n      paths.add(pathBlock);\n    }\n    neighborBlock',
    ],
  ]),
  ...mutantsIn('src/host/chimney/offloadable.ts', [
    [
      'INIT-072',
      "if (!OFFLOADABLE_STATES.has(endpoint.tcp.state)) return no('the connection is not established');",
      '',
    ],
    [
      'INIT-073',
      "if ((endpoint.flags & EndpointFlag.IP_OPTIONS) !== 0) return no('its packets have IPv4 options');",
      '',
    ],
    [
      'EVT-042',
      'if (adapter.isPaused) return',
      'if (false) return',
      'test/host/chimney-events.test.ts',
      'test/stack/operations.test.ts',
    ],
  ]),
  ...mutantsIn('src/host/chimney/adapter.ts', [
    ['CAP-020', 'const answer = ndis.oidRequest(this.binding, set);', 'const answer: number = NdisStatus.SUCCESS;'],
    [
      'CAP-018',
      'const status = ndis.oidRequest(this.binding, request);',
      'const status: number = NdisStatus.NOT_SUPPORTED;',
    ],
  ]),
  ...mutantsIn('src/host/chimney/moves.ts', [
    [
      'TERM-028',
      'if (connection.operations > 0) later.add(connection);\n      else ready',
      'ready',
      'test/host/host-answers.test.ts',
    ],
    [
      'CAP-039',
      'this.#terminates.start(adapter, ready)',
      'for (const one of ready) this.#terminates.start(adapter, [one])',
    ],
  ]),
  ...mutantsIn('src/host/chimney/client.ts', [['RSS-002', 'tcp.words[tcp.base + TcpWord.HASH_VALUE] =', 'void']]),
  ...mutantsIn('src/host/path/ip-sender.ts', [
    ['SEND-042', 'const id = path.nextId & IPV4_ID_MASK;', 'const id = (path.nextId & IPV4_ID_MASK) | 0x8000;'],
  ]),
  ...mutantsIn('src/host/transport/endpoint-options.ts', [
    ['VLAN-004', 'cached.userPriority = clamp(priority, 0, 7);', ''],
  ]),
];

const TARGET_MUTANTS: readonly Mutant[] = [
  ...mutantsIn('src/target/engine/oids.ts', [
    ['STAT-001', 'return ipStatistics(engine, request, 6);', 'return ipStatistics(engine, request, 4);'],
    ['STAT-002', 'return tcpStatistics(engine, request, 6);', 'return tcpStatistics(engine, request, 4);'],
    ['STAT-024', "if (request.kind === 'set') statistics.resetIp();", "if (request.kind === 'set') void 0;"],
    ['STAT-025', "if (request.kind === 'set') statistics.resetTcp();", "if (request.kind === 'set') void 0;"],
    ['CAP-023', 'request.information = { ...engine.tunables };', ''],
    ['CAP-021', 'engine.tunables = { ...information };', ''],
    ['CAP-020', 'if (status === NdisStatus.SUCCESS) engine.isEnabled = true;', ''],
  ]),
  ...mutantsIn('src/target/engine/bad-packets.ts', [
    ['STAT-011', 'statistics.inTruncatedPackets++', 'statistics.inHeaderErrors++'],
    ['STAT-012', 'status === WIRE_BAD_LENGTH && declaredLength', 'declaredLength'],
    ['STAT-027', 'return engine.dropsBad && engine.isEnabled', 'return engine.isEnabled'],
    ['STAT-029', '  statistics.inErrors++;\n', ''],
    [
      'STAT-030',
      'if (!engine.dropsBad || !engine.isEnabled || engine.paths.size === 0) return false;',
      'if (!engine.dropsBad) return false;',
    ],
    ['STAT-010', 'else statistics.inHeaderErrors++;', ''],
  ]),
  ...mutantsIn('src/target/engine/segment.ts', [
    ['STAT-016', 'statistics.inSegments += segmentsIn(seg.textLength, engine.work.segmentBytes);', ''],
  ]),
  ...mutantsIn('src/target/engine/neighbors.ts', [
    [
      'NBR-005',
      'neighbor.nrtUs = nowUs - (nrd >>> 0) * usPerTick(engine.tunables);',
      'neighbor.nrtUs = nowUs - (nrd >>> 0) * 1000;',
    ],
    ['NBR-010', 'engine.tunables.nceStaleTicks', '100'],
    ['NBR-016', 'writeNeighbor(engine, neighbor, constant, cached, delegated, nowUs);', ''],
    ['NBR-012', '  block.constState = constant;\n', '', 'test/stack/reachability.test.ts'],
  ]),
  ...mutantsIn('src/target/engine/receive-scaling.ts', [
    ['RSS-003', 'if (look.connection !== null) return look', 'if (false) return look'],
    [
      'RSS-005',
      'for (const other of this.#queues) while (!other.isEmpty && other.firstTable < table) this.#process(other);',
      '',
    ],
    ['RSS-006', 'other.firstTable < table', 'other.firstTable > table'],
  ]),
  ...mutantsIn('src/target/engine/configuration.ts', [
    ['CAP-025', 'setting.enabled && (setting.types & encapsulationsOf(engine)) !== 0', 'setting.enabled'],
  ]),
  ...mutantsIn('src/target/engine/receive-path.ts', [
    ['VLAN-016', 'neighbor.vlanId !== 0 && ', ''],
    ['STAT-005', 'statistics.inReceives', 'statistics.inDelivers'],
  ]),
];

export const LAYER_MUTANTS: readonly Mutant[] = [
  ...NDIS_MUTANTS,
  ...DRIVER_MUTANTS,
  ...HOST_MUTANTS,
  ...TARGET_MUTANTS,
];
