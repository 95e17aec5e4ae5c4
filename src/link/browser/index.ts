/** Links of pages: between threads by a MessagePort, to a program elsewhere by a WebSocket. Nothing of a browser's is needed to load them. */

export { type FramePort, MessagePortLink, type MessagePortLinkOptions } from './message-port-link.ts';
export { type FrameSocket, WebSocketLink, type WebSocketLinkOptions } from './web-socket-link.ts';
