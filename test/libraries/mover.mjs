/** Moves every connection of the program to the target and back, as long as it lives. Answers how often. */
import net from 'node:net';

export const moves = { done: 0, refused: 0 };

export function moveAll() {
  const keep = (socket) => {
    if (socket.chimney === undefined) return;
    socket.once('connect', async () => {
      while (!socket.destroyed) {
        try {
          await socket.chimney.offload();
          await new Promise((resolve) => setTimeout(resolve, 3));
          await socket.chimney.takeBack();
          moves.done += 2;
        } catch {
          moves.refused++;
        }
        await new Promise((resolve) => setTimeout(resolve, 3));
      }
    });
  };
  const { prototype } = net.Socket;
  const { connect } = prototype;
  prototype.connect = function (...args) {
    keep(this);
    return connect.apply(this, args);
  };
}
