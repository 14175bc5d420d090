import { Option } from 'commander'
import { fieldRows } from '../../model/field-rows.ts'
import { kindInfo, type ResourceKind } from '../../model/kinds.ts'
import type { Family } from '../../net/ip.ts'
import { createExplainSource } from '../../questions/known-host.ts'
import { withChanges } from '../../questions/overlay.ts'
import { readView } from '../../store/read-view.ts'
import type { Store } from '../../store/store.ts'
import type { MutableView } from '../../store/view.ts'
import type { AddCommand, Context } from '../context.ts'
import { type AnsweredLegs, askLegs, type LegsQuestion } from '../explain-asked.ts'
import { type End, findEnd } from '../explain-ends.ts'
import { explainFlow } from '../explain-flow.ts'
import { type GivenPacket, readQuestions } from '../explain-question.ts'
import { type Explanation, renderExplanation, worstOf } from '../explain-render.ts'
import { planWay } from '../explain-way.ts'
import { renderJson, renderYaml } from '../format.ts'
import { addOutputOption, addStoreOptions, parseCount } from '../options.ts'
import { withSession } from '../session.ts'
import { listHeldTrials } from '../trial-records.ts'

const EXAMPLES = `
Examples:
  margay explain shop/web shop/db tcp 5432
  margay explain 198.51.100.9 node/h1 tcp 22
  margay explain shop/web 2001:db8::53 udp 53 -o json

SRC and DST are names or addresses: a workload (NAMESPACE/NAME, or NAME), a host endpoint (hep/NAME), a host (node/NAME), or an address,
which may be outside. PORT is a number, or a name that DST has for a port; for ICMP it is TYPE or TYPE/CODE. Without a protocol the
question is about ping. Both hosts are asked, if they live; one that does not answer within 5 s is computed from the store.

A trial that runs on one of the hosts is named, with what becomes of the packet under it; all else, and the exit code, is about the policy
that is written.

Exit code 0 when it gets through, 3 when it is denied or there is no route, 1 when that can't be said.`

interface ExplainOptions {
  readonly output: string
  readonly json?: true
  readonly sourcePort?: number
  readonly family?: string
}

/** `margay explain SRC DST [PROTOCOL] [PORT]`. */
export const addExplainCommand: AddCommand = (parent, context, outcome) => {
  const command = parent
    .command('explain')
    .description('say why one end can or cannot reach another')
    .argument('<source>', 'workload, host endpoint, host or address')
    .argument('<destination>', 'the same')
    .argument('[protocol]', 'tcp, udp, icmp, icmpv6, sctp, udplite or a number; ping unless given')
    .argument('[port]', 'port of the destination; TYPE/CODE for ICMP')
    .option('--source-port <port>', 'port of the source (40000 unless given)', parseCount(1, 65_535))
    .addOption(new Option('--family <version>', 'only this IP version').choices(['4', '6']))
    .option('--json', 'as -o json')
  addStoreOptions(addOutputOption(command, ['text', 'json', 'yaml']))
    .addHelpText('after', EXAMPLES)
    .action(async (source: string, destination: string, protocol?: string, port?: string) => {
      const { output, json, sourcePort, family } = command.opts<ExplainOptions>()
      const given = { protocol, port, sourcePort, family: family === undefined ? undefined : (Number(family) as Family) }
      const explanation = await withSession(command, context, async ({ store }) => {
        const asking = prepare(await readView(store, context.signal), { source, destination }, given)
        const committed = explain(asking, await askLegs(store, asking, context.signal))
        const tried = await explainTried(store, asking, context)
        return { ...committed, ...(tried && { tried }) }
      })
      const isJson = json === true || output === 'json'
      context.out(isJson ? renderJson(explanation) : output === 'yaml' ? renderYaml(explanation) : renderExplanation(explanation))
      if (explanation.verdict !== 'allow') outcome.code = 3
    })
}

/** What is asked, and what the store says of it. */
interface Asking extends LegsQuestion {
  readonly source: End
  readonly destination: End
}

function prepare(view: MutableView, ends: { readonly source: string; readonly destination: string }, given: GivenPacket): Asking {
  const [source, destination] = [findEnd(view, ends.source), findEnd(view, ends.destination)]
  const questions = readQuestions(source, destination, given)
  const from = createExplainSource(view)
  return { view, source, destination, from, flows: questions.map((question) => ({ question, way: planWay(from, question) })) }
}

/** What becomes of it as long as trials run on the hosts on its way; undefined without any. */
async function explainTried(store: Store, asking: Asking, { now, signal }: Context): Promise<Explanation['tried']> {
  const nodes = new Set(asking.flows.flatMap(({ way }) => way.legs.map(({ node }) => node)))
  const held = await listHeldTrials(store, (node) => nodes.has(node), now(), signal)
  if (held.length === 0) return undefined
  const changes = held.flatMap(({ running }) => running.changes)
  const trying = { ...asking, from: createExplainSource(withChanges(asking.view, changes)), isTried: true }
  const { basis, answered, silent, flows, verdict, stagedVerdict } = explain(trying, await askLegs(store, trying, signal))
  return { trials: held.map(({ running: _, ...trial }) => trial), basis, answered, silent, flows, verdict, stagedVerdict }
}

function explain({ view, source, destination, from, flows: asked }: Asking, { answered, heard, silent }: AnsweredLegs): Explanation {
  const flows = asked.map(({ question, way }, index) => explainFlow(from, question, way, answered[index]))
  const questions = asked.map(({ question }) => question)
  const { protocol = 0, sourcePort, port, icmp } = questions[0] ?? {}
  const packet = { protocol, ...(port === undefined ? {} : { sourcePort, port }), ...(icmp === undefined ? {} : { icmp }) }
  const unenforced = findUnenforced(view)
  const unreadable = [...view.broken.values()].map(({ kind, id, reason }) => `${kind} ${id} can't be read, and is left out: ${reason}`)
  return {
    basis: heard.length === 0 ? 'store' : silent.length === 0 ? 'hosts' : 'partly',
    answered: heard,
    silent,
    revision: view.revision,
    source,
    destination,
    packet,
    flows,
    verdict: worstOf(flows.map(({ verdict }) => verdict)),
    stagedVerdict: worstOf(flows.map(({ stagedVerdict }) => stagedVerdict)),
    isEnforced: unenforced.length === 0,
    warnings: [...unenforced, ...unreadable, ...from.read.problems],
  }
}

/** The kinds in the store of which hosts of this version enforce nothing yet, in words. */
function findUnenforced(view: MutableView): readonly string[] {
  const kinds = ['GlobalNetworkPolicy', 'NetworkPolicy', 'HostEndpoint', 'Profile'] as const
  const kept = kinds.filter((kind) => view.get(kind).size > 0 && !isEnforced(kind))
  return kept.map((kind) => `${kind} is kept, and hosts of this version do not enforce it yet: they let through what it denies`)
}

/** As the reference of the kinds says. */
function isEnforced(kind: ResourceKind): boolean {
  return fieldRows(kindInfo(kind).specSchema, 'spec').some(({ tag }) => tag === 'enforced')
}
