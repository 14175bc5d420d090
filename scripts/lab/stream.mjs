// The two ends of the lab's TCP stream: `stream.mjs receive` and `stream.mjs send ADDRESS`. The receiver says when it listens
// and when the first bytes are there, and reports when its standard input ends.
import { connect, createServer } from 'node:net'

const PORT = 5201
const EVERY_MS = 2
const CHUNK = Buffer.alloc(16_384)
const [role, address] = process.argv.slice(2)

if (role === 'send') send(address)
else receive()

function send(to) {
  const socket = connect(PORT, to)
  socket.setNoDelay(true)
  socket.on('error', () => process.exit(1))
  socket.on('connect', () => {
    setInterval(() => {
      // What can't leave waits in the kernel; more than that would only hide the stall.
      if (!socket.writableNeedDrain) socket.write(CHUNK)
    }, EVERY_MS)
  })
}

function receive() {
  let [bytes, longestStallMs, last] = [0, 0, 0]
  const arrive = (now) => {
    if (last !== 0) longestStallMs = Math.max(longestStallMs, now - last)
    last = now
  }
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      if (bytes === 0) process.stdout.write('flowing\n')
      bytes += chunk.length
      arrive(performance.now())
    })
  })
  server.listen({ port: PORT, host: '::' }, () => process.stdout.write('listening\n'))
  process.stdin.resume()
  process.stdin.on('end', () => {
    arrive(performance.now())
    process.stdout.write(`${JSON.stringify({ longestStallMs: Math.round(longestStallMs), bytes })}\n`, () => process.exit(0))
  })
}
