import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../scripts/lab/command.ts'
import type { LabDaemon } from '../../scripts/lab/daemon.ts'
import { httpGet } from '../../scripts/lab/http.ts'
import { withIdleLab, withLab } from '../support/scenario.ts'
import { ownTable } from '../support/table-owner.ts'

const test = suite('acceptance/readiness')

async function healthOf(daemon: LabDaemon, port = 9099): Promise<readonly [number, number]> {
  const ask = async (path: string) => (await httpGet(daemon.host, `http://127.0.0.1:${port}/${path}`)).status
  return [await ask('liveness'), await ask('readiness')]
}

test('READY-1 one host alone is live and ready', async () => {
  await withLab({ hosts: [0], etcd: 'plain' }, async (lab) => {
    assert.equal(await healthOf(lab.daemon('h1')), [200, 200])
  })
})

test('READY-1 three hosts on two subnets are live and ready', async () => {
  await withLab({ hosts: [0, 0, 1], etcd: 'plain' }, async (lab) => {
    assert.equal(await Promise.all(lab.daemons.map((daemon) => healthOf(daemon))), [
      [200, 200],
      [200, 200],
      [200, 200],
    ])
  })
})

test('READY-1 health is served on the address and port of the configuration, and only there', async () => {
  await withLab({ hosts: [0], etcd: 'plain', config: { health: { port: 9199 } } }, async (lab) => {
    assert.equal(await healthOf(lab.daemon('h1'), 9199), [200, 200])
    assert.equal(await healthOf(lab.daemon('h1'), 9099), [0, 0])
  })
})

test('READY-1 a host that cannot reach etcd is live, not ready, and says why', async () => {
  await withIdleLab({ hosts: [0], etcd: 'plain' }, async (lab) => {
    const daemon = lab.daemon('h1')
    await lab.etcd.stop('SIGKILL')
    daemon.launch()
    const url = 'http://127.0.0.1:9099/readiness'
    const answer = await until({ what: 'readiness to be refused', deadlineMs: 15_000 }, async () => {
      const got = await httpGet(daemon.host, url)
      return got.status === 503 ? got : undefined
    })
    assert.match(answer.text, /etcd/)
    assert.is((await httpGet(daemon.host, 'http://127.0.0.1:9099/liveness')).status, 200)
    await lab.etcd.start()
    await until({ what: 'readiness', deadlineMs: 15_000 }, async () =>
      (await httpGet(daemon.host, url)).status === 200 ? true : undefined,
    )
  })
})

for (const { title, config } of [
  { title: 'with networking', config: {} },
  { title: 'without networking', config: { networking: { enabled: false }, pools: {} } },
]) {
  test(`READY-3 ${title}, a host whose rules cannot be programmed is live, not ready, says why, and is ready when they can`, async () => {
    await withLab({ hosts: [0], etcd: 'plain', config }, async (lab) => {
      const daemon = lab.daemon('h1')
      const url = 'http://127.0.0.1:9099/readiness'
      const statusIs = (status: number) =>
        until({ what: `readiness ${status}` }, async () => {
          const got = await httpGet(daemon.host, url)
          return got.status === status ? got : undefined
        })
      const owner = await ownTable(daemon.host)
      try {
        const { text } = await statusIs(503)
        assert.match(text, /in the table inet margay: EPERM.*it needs root, and a table without an owner/)
        assert.is((await healthOf(daemon))[0], 200)
      } finally {
        await owner.release()
      }
      await statusIs(200)
    })
  })
}

test.run()
