/** An nginx with a configuration and a file of its own, on addresses of the kernel. */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shell, stop } from './programs.ts';

export interface Nginx {
  readonly port: number;
  /** SHA-256 of the file /file. */
  readonly hash: string;
  stop(): Promise<void>;
}

export async function startNginx(address4: string, address6: string, fileBytes: number): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), 'chimney-nginx-'));
  chmodSync(folder, 0o755);
  const content = randomBytes(fileBytes);
  writeFileSync(join(folder, 'file'), content);
  const port = await freePort(address4);
  writeFileSync(join(folder, 'nginx.conf'), configuration(folder, port, address4, address6));
  const child = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], {
    stdio: 'ignore',
  });
  await shell(
    `for i in $(seq 200); do (exec 3<>/dev/tcp/${address4}/${port}) 2>/dev/null && exit 0; sleep 0.02; done; exit 1`,
  );
  return {
    port,
    hash: createHash('sha256').update(content).digest('hex'),
    stop: async () => {
      await stop(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configuration(folder: string, port: number, address4: string, address6: string): string {
  return `daemon off;
master_process off;
user root;
pid ${folder}/nginx.pid;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  sendfile on;
  server {
    listen ${address4}:${port};
    listen [${address6}]:${port};
    root ${folder};
  }
}
`;
}

function freePort(address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, address, () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
