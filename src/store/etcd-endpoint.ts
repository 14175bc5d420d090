import { setMaxListeners } from 'node:events'
import { isIP } from 'node:net'
import type { SecureContext } from 'node:tls'
import {
  create,
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf'
import { type ChannelOptions, Client, type ClientDuplexStream, credentials, type Metadata } from '@grpc/grpc-js'
import { ValidationError } from '../errors.ts'
import { type TlsContext, tlsCredentials } from './etcd-tls.ts'

/** One call to one endpoint. */
export interface EndpointCall<I extends DescMessage, O extends DescMessage> {
  readonly method: DescMethodUnary<I, O>
  readonly request: MessageInitShape<I>
  readonly metadata: Metadata
  /** Milliseconds since the epoch. */
  readonly deadline: number
  readonly signal: AbortSignal
}

/** The two ends of a stream: what is written is a message's initial shape. */
export type EndpointStream<I extends DescMessage, O extends DescMessage> = ClientDuplexStream<MessageInitShape<I>, MessageShape<O>>

/**
 * A ping after 10 s without traffic, and 3 s for its answer: a connection that died without a word is found in 13 s.
 * Shorter intervals make etcd close the connection with "too_many_pings" (seen below 5 s; its enforcement policy).
 */
const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3000,
  'grpc.keepalive_permit_without_calls': 0,
  'grpc.max_receive_message_length': 64 << 20,
  'grpc.max_send_message_length': -1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  // Two stores in one process share nothing, and what is tried again is decided in etcd-client alone.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
}

/** One member's address and the connection to it, made at the first call. */
export class Endpoint {
  readonly url: string
  /** Milliseconds since the epoch: until then others are preferred. */
  avoidUntil = 0
  readonly #address: { readonly target: string; readonly host: string }
  readonly #tls: TlsContext | undefined
  readonly #underWay = new Set<{ cancel(): void }>()
  #client: Client | undefined
  #context: SecureContext | undefined

  /** @throws {ValidationError} if it is not the URL of an etcd member */
  constructor(url: string, tls: TlsContext | undefined) {
    this.url = url
    const { isTls, ...address } = parseEndpoint(url)
    this.#address = address
    this.#tls = isTls ? tls : undefined
  }

  /** Sends one request and gives its reply; rejects with gRPC's ServiceError, or with the signal's reason. */
  call<I extends DescMessage, O extends DescMessage>({
    method,
    request,
    metadata,
    deadline,
    signal,
  }: EndpointCall<I, O>): Promise<MessageShape<O>> {
    signal.throwIfAborted()
    // One signal ends many calls: Node takes more than ten listeners for a leak.
    setMaxListeners(0, signal)
    const { path, serialize, deserialize } = definition(method)
    return new Promise((resolve, reject) => {
      const onAbort = (): void => call.cancel()
      const call = this.#connected().makeUnaryRequest(path, serialize, deserialize, request, metadata, { deadline }, (error, reply) => {
        signal.removeEventListener('abort', onAbort)
        this.#underWay.delete(call)
        if (error) reject(signal.aborted ? signal.reason : error)
        else if (reply !== undefined) resolve(reply)
      })
      this.#underWay.add(call)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Opens a stream without a deadline. */
  stream<I extends DescMessage, O extends DescMessage>(method: DescMethodBiDiStreaming<I, O>, metadata: Metadata): EndpointStream<I, O> {
    const { path, serialize, deserialize } = definition(method)
    const stream = this.#connected().makeBidiStreamRequest(path, serialize, deserialize, metadata, {})
    this.#underWay.add(stream)
    stream.once('status', () => this.#underWay.delete(stream))
    return stream
  }

  /** Ends calls and streams under way, and the connection. */
  close(): void {
    for (const call of this.#underWay) call.cancel()
    this.#client?.close()
  }

  /** The connection; another one after the certificates were changed, while streams of the old one go on until they end. */
  #connected(): Client {
    const context = this.#tls?.current
    if (this.#client && context === this.#context) return this.#client
    this.#client?.close()
    this.#context = context
    const secured = context ? tlsCredentials(context, this.#address.host) : { credentials: credentials.createInsecure(), options: {} }
    this.#client = new Client(this.#address.target, secured.credentials, { ...CHANNEL_OPTIONS, ...secured.options })
    return this.#client
  }
}

/**
 * What gRPC calls this URL: `ipv4:192.0.2.1:2379`, `ipv6:[2001:db8::1]:2379` or `dns:etcd.example:2379`. Without a port it is 2379.
 *
 * @throws {ValidationError} naming the URL and what would be right
 */
export function parseEndpoint(url: string): { readonly isTls: boolean; readonly target: string; readonly host: string } {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const isWhole = parsed && /^https?:$/.test(parsed.protocol) && parsed.hostname !== '' && parsed.username === '' && parsed.pathname === '/'
  if (!isWhole || parsed.search !== '' || parsed.hash !== '') {
    throw new ValidationError(`not an etcd endpoint: ${JSON.stringify(url)} (right: http://192.0.2.1:2379 or https://etcd.example:2379)`)
  }
  const host = parsed.hostname.replace(/^\[|\]$/g, '')
  // URL leaves the scheme's default port out; whoever wrote :443 means it.
  const port = parsed.port || /:(80|443)\/?$/.exec(url)?.[1] || '2379'
  const scheme = { 0: 'dns', 4: 'ipv4', 6: 'ipv6' }[isIP(host)]
  return { isTls: parsed.protocol === 'https:', target: `${scheme}:${parsed.hostname}:${port}`, host }
}

function definition<I extends DescMessage, O extends DescMessage>(method: DescMethodUnary<I, O> | DescMethodBiDiStreaming<I, O>) {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    serialize: (message: MessageInitShape<I>): Buffer => Buffer.from(toBinary(method.input, create(method.input, message))),
    deserialize: (bytes: Buffer): MessageShape<O> => fromBinary(method.output, bytes),
  }
}
