/** An NDIS that knows nothing of observers, for measuring what they cost where there is none. */
import type { Binding } from '../../src/ndis/adapter.ts';
import type { NdisMiniportHandle } from '../../src/ndis/miniport.ts';
import { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import {
  type BytesConsumed,
  type NdisBindingHandle,
  type NdisOffloadHandle,
  NdisStatus,
} from '../../src/ndis/protocol.ts';
import type { NetBufferList } from '../../src/state/net-buffer-list.ts';

/** The library with the calls of a bulk transfer as they would be if no tap could be attached. */
export class BareNdis extends NdisLibrary {
  override offloadTcpSend(handle: NdisOffloadHandle, lists: NetBufferList): number {
    const { adapter } = handle.ndisReserved as Binding;
    adapter.tcp!.tcpOffloadSend(adapter.context, handle.miniportOffloadContext, lists);
    return NdisStatus.PENDING;
  }

  override offloadTcpReceive(handle: NdisOffloadHandle, lists: NetBufferList): number {
    const { adapter } = handle.ndisReserved as Binding;
    adapter.tcp!.tcpOffloadReceive(adapter.context, handle.miniportOffloadContext, lists);
    return NdisStatus.PENDING;
  }

  override offloadTcpReceiveReturn(handle: NdisBindingHandle, lists: NetBufferList): number {
    const binding = handle as Binding;
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) binding.chimneyLists--;
    return binding.adapter.tcp!.tcpOffloadReceiveReturn(binding.adapter.context, lists);
  }

  override tcpOffloadReceiveHandler(
    handle: NdisOffloadHandle,
    list: NetBufferList,
    status: number,
    bytesConsumed: BytesConsumed,
  ): number {
    const binding = handle.ndisReserved as Binding;
    const answer = binding.tcp!.tcpOffloadReceiveIndicate(handle, list, status, bytesConsumed);
    if (answer === NdisStatus.SUCCESS) binding.chimneyLists++;
    return answer;
  }

  override tcpOffloadSendComplete(handle: NdisMiniportHandle, lists: NetBufferList): void {
    const { upper } = handle as NdisMiniportHandle & { readonly upper: Binding };
    upper.tcp!.tcpOffloadSendComplete(upper.context, lists);
  }

  override tcpOffloadReceiveComplete(handle: NdisMiniportHandle, lists: NetBufferList): void {
    const { upper } = handle as NdisMiniportHandle & { readonly upper: Binding };
    upper.tcp!.tcpOffloadReceiveComplete(upper.context, lists);
  }
}
