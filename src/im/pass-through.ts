/**
 * The pass-through intermediate driver: one adapter below, everything unchanged.
 *
 * Useful by itself to stack a chimney (each level adds a handle and an entry, IM-064) and as the base of drivers that look at
 * or change what passes one adapter: they override the methods concerned.
 */

import type { AdapterAttributes, NdisBindingHandle } from '../ndis/protocol.ts';
import { IntermediateDriver, type IntermediateEnvironment, type IntermediateOptions } from './intermediate-driver.ts';

/** A driver over the adapter named `adapterBelow`, which it opens at once; to be registered as an adapter thereafter. */
export class PassThrough extends IntermediateDriver {
  readonly attributes: AdapterAttributes;
  protected readonly below: NdisBindingHandle;

  constructor(environment: IntermediateEnvironment, adapterBelow: string, options: IntermediateOptions) {
    super(environment, options);
    this.below = environment.ndis.openAdapterEx(this, this, adapterBelow);
    // What is above sees the adapter below under this driver's name, but for packets larger than their header can say: drivers on
    // this base look into packets, copy or keep them.
    const { bigSendBytes: _, ...attributes } = environment.ndis.adapterAttributes(this.below);
    this.attributes = { ...attributes, name: options.name };
  }
}
