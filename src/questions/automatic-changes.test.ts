import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aNode, TestView } from '../../test/support/planning.ts'
import { aHostEndpoint } from '../../test/support/policies.ts'
import type { KubeControllersConfiguration } from '../model/kube-controllers-configuration.ts'
import type { ResourceChange } from '../model/own/questions.ts'
import { API_VERSION } from '../model/resource.ts'
import { withAutomatic } from './automatic-changes.ts'

const test = suite('questions/automatic-changes')

function settings(autoCreate: 'Enabled' | 'Disabled'): ResourceChange {
  const resource: KubeControllersConfiguration = {
    apiVersion: API_VERSION,
    kind: 'KubeControllersConfiguration',
    metadata: { name: 'default' },
    spec: { controllers: { node: { hostEndpoint: { autoCreate } } } },
  }
  return { kind: 'KubeControllersConfiguration', id: 'default', resource }
}

const view = new TestView()
  .node(aNode('h1', { v4: '192.0.2.1/24' }))
  .node(aNode('h2', { v4: '192.0.2.2/24' }))
  .set('HostEndpoint', 'h3-auto-hep', aHostEndpoint('h3-auto-hep', { node: 'h2' }, { 'projectcalico.org/created-by': 'margay' }))
const show = (changes: readonly ResourceChange[]) =>
  changes.map(({ kind, id, resource }) => `${resource === undefined ? '-' : '+'} ${kind} ${id}`)

test('what hosts would make and remove by themselves takes the place of the change that asks for it', () => {
  assert.equal(show(withAutomatic(view, [settings('Enabled')])), [
    '+ HostEndpoint h1-auto-hep',
    '+ HostEndpoint h2-auto-hep',
    '- HostEndpoint h3-auto-hep',
  ])
  assert.equal(show(withAutomatic(view, [settings('Disabled')])), ['- HostEndpoint h3-auto-hep'])
})

test('what is written by hand in the same go stands, and other changes stay as they are', () => {
  const own: ResourceChange = { kind: 'HostEndpoint', id: 'h1-auto-hep', resource: aHostEndpoint('h1-auto-hep', { interfaceName: 'eth0' }) }
  const changes = withAutomatic(view, [own, settings('Enabled')])
  assert.is(changes[0], own)
  assert.equal(show(changes), ['+ HostEndpoint h1-auto-hep', '+ HostEndpoint h2-auto-hep', '- HostEndpoint h3-auto-hep'])
  assert.equal(withAutomatic(view, [own]), [own])
})

test.run()
