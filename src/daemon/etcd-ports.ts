import { createServer } from 'node:net'
import { MargayError } from '../errors.ts'

/**
 * Looks whether somebody else listens at these URLs, where the embedded etcd will: etcd's own words about it would stand in the journal
 * among twenty others, where nobody looks for them.
 *
 * @throws {MargayError} `port-taken`, naming address and port
 */
export async function checkEtcdPorts(urls: readonly string[]): Promise<void> {
  for (const url of urls) {
    const { host, hostname, port } = new URL(url)
    if (!(await isTaken(hostname.replace(/^\[|\]$/g, ''), Number(port)))) continue
    throw new MargayError(
      'port-taken',
      `${host}, where the embedded etcd shall listen, is taken by another program: ss -ltnp 'sport = :${port}' names it`,
    )
  }
}

/** Whatever else hinders listening, such as an address that is not up yet, is etcd's to say. */
function isTaken(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve('code' in error && error.code === 'EADDRINUSE'))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(false)))
  })
}
