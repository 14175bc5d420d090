import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseEndpoint } from './etcd-endpoint.ts'

const test = suite('store/etcd-endpoint')

const urls = [
  { url: 'http://192.0.2.1:2379', want: { isTls: false, target: 'ipv4:192.0.2.1:2379', host: '192.0.2.1' } },
  { url: 'https://192.0.2.1', want: { isTls: true, target: 'ipv4:192.0.2.1:2379', host: '192.0.2.1' } },
  { url: 'https://[2001:db8::1]:23790/', want: { isTls: true, target: 'ipv6:[2001:db8::1]:23790', host: '2001:db8::1' } },
  { url: 'http://etcd.example', want: { isTls: false, target: 'dns:etcd.example:2379', host: 'etcd.example' } },
  { url: 'https://etcd.example:443', want: { isTls: true, target: 'dns:etcd.example:443', host: 'etcd.example' } },
  { url: 'http://etcd.example:80/', want: { isTls: false, target: 'dns:etcd.example:80', host: 'etcd.example' } },
]
for (const { url, want } of urls) test(`${url} is ${want.target}`, () => assert.equal(parseEndpoint(url), want))

const wrong = [
  '192.0.2.1:2379',
  'etcd.example',
  'ftp://192.0.2.1',
  'http://',
  'http://user:pw@192.0.2.1',
  'http://192.0.2.1/v3',
  'http://192.0.2.1:99999',
  '',
]
for (const url of wrong) {
  test(`${JSON.stringify(url)} is refused`, () => {
    assert.throws(
      () => parseEndpoint(url),
      `not an etcd endpoint: ${JSON.stringify(url)} (right: http://192.0.2.1:2379 or https://etcd.example:2379)`,
    )
  })
}

test.run()
