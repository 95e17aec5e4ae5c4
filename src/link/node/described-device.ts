/** What a device gives every link over it, whoever reads it and in whichever thread. */

import type { Medium } from '../link.ts';
import type { DeviceDescription } from './device.ts';

/** The properties of a Link that follow from its device. */
export abstract class DescribedDevice {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly macAddress?: Uint8Array;
  readonly largeSendBytes: number;
  readonly bigSendBytes?: number;
  readonly largeDatagrams: boolean;
  readonly takesGather = true;

  constructor(device: DeviceDescription) {
    this.name = device.name;
    this.medium = device.medium;
    this.mtu = device.mtu;
    if (device.macAddress !== null) this.macAddress = device.macAddress;
    this.largeSendBytes = device.largeSendBytes;
    if (device.bigSendBytes !== undefined) this.bigSendBytes = device.bigSendBytes;
    this.largeDatagrams = device.datagrams;
  }
}
