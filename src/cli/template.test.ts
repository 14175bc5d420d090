import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { renderTemplate } from './template.ts'

const test = suite('cli/template')

const pool = { kind: 'IPPool', metadata: { name: 'p1', labels: { b: '2', a: '1' } }, spec: { cidr: '10.65.0.0/16', natOutgoing: true } }
const other = { kind: 'IPPool', metadata: { name: 'p2' }, spec: { cidr: '2001:db8::/48', blockSize: 122 } }
const pools = { kind: 'IPPoolList', metadata: { resourceVersion: '7' }, items: [pool, other] }

const cases: readonly (readonly [name: string, template: string, want: string])[] = [
  ["calicoctl's own form, by the names of Go", '{{range .}}{{range .Items}}{{.ObjectMeta.Name}},{{end}}{{end}}', 'p1,p2,'],
  [
    'names inside embedded types',
    '{{range .}}{{range .Items}}{{.Name}} {{.Spec.CIDR}};{{end}}{{end}}',
    'p1 10.65.0.0/16;p2 2001:db8::/48;',
  ],
  ["kubectl's form, by the names of JSON", '{{range .items}}{{.metadata.name}}{{"\\n"}}{{end}}', 'p1\np2\n'],
  ['the type', '{{range .items}}{{.TypeMeta.Kind}} {{.Kind}} {{end}}', 'IPPool IPPool IPPool IPPool '],
  ['what is absent is empty', '{{range .items}}[{{.spec.blockSize}}{{.spec.none.deeper}}]{{end}}', '[][122]'],
  [
    'if, else if, else',
    '{{range .items}}{{if .spec.natOutgoing}}nat{{else if .spec.blockSize}}size{{else}}none{{end}} {{end}}',
    'nat size ',
  ],
  ['else of an empty range', '{{range .items}}{{range .spec.uses}}x{{else}}-{{end}}{{end}}', '--'],
  ['with', '{{range .items}}{{with .metadata.labels}}{{.a}}{{else}}no labels{{end}};{{end}}', '1;no labels;'],
  ['variables of a range', '{{range $i, $p := .items}}{{$i}}={{$p.metadata.name}} {{end}}', '0=p1 1=p2 '],
  ['a map by its sorted keys', '{{range $k, $v := (index .items 0).metadata.labels}}{{$k}}:{{$v}} {{end}}', 'a:1 b:2 '],
  ['a variable that is set', '{{$n := len .items}}{{range .items}}{{$n}}{{end}}', '22'],
  [
    'comparisons and logic',
    '{{range .items}}{{if and (eq .kind "IPPool") (not (eq .metadata.name `p1`))}}{{.metadata.name}}{{end}}{{end}}',
    'p2',
  ],
  ['an absent member is equal to the empty text', '{{range .items}}{{eq .spec.nodeSelector ``}} {{end}}', 'true true '],
  ['numbers', '{{range .items}}{{if gt .spec.blockSize 26}}{{.metadata.name}}{{end}}{{end}}', 'p2'],
  ['pipes', '{{"abc" | printf "%s!" | len}} {{"x" | printf "%s-%s" "y"}}', '4 y-x'],
  [
    'join and cut',
    '{{range .items}}{{join .metadata.labels ","}} {{joinAndTruncate .spec.cidr "," 8}};{{end}}',
    'a=1,b=2 10.65...; 2001:...;',
  ],
  [
    'formats',
    '{{range .items}}{{printf "%-4s|%5s|%q|%%" .metadata.name .spec.blockSize .kind}};{{end}}',
    'p1  |     |"IPPool"|%;p2  |  122|"IPPool"|%;',
  ],
  ['trimmed blanks and comments', 'a  {{- /* no */ -}}  b {{- range .items -}} x {{- end -}} c', 'abxxc'],
  ['what Calico fills in', '{{config "asNumber"}}', '64512'],
  ['lists and maps as Go prints them', '{{range .items}}{{.metadata.labels}}{{end}}', 'map[a:1 b:2]'],
  ['braces in text and strings', '{ {{"}}"}} }', '{ }} }'],
]
for (const [name, template, want] of cases) {
  test(name, () => {
    assert.is(renderTemplate(template, [pools], { asnumber: '64512' }), want)
  })
}

const wrong: readonly (readonly [template: string, err: RegExp])[] = [
  ['{{range .items}}', /a block without its "end"/],
  ['{{end}}', /"end" without its beginning at character 1/],
  ['ab{{.x', /"\{\{" without its "\}\}" at character 3/],
  ['{{joim .x ","}}', /calls joim, which is not known: did you mean join\?/],
  ['{{$x}}', /uses \$x, which is not set/],
  ['{{.a .b}}', /arguments to what is no function/],
  ['{{define "x"}}{{end}}', /"define", which is not known here/],
  ['{{}}', /an empty command/],
  ['{{(len .x}}', /a "\(" without its "\)"/],
  ['{{.a & .b}}', /"& .b" in/],
]
for (const [template, err] of wrong) {
  test(`${template} is refused`, () => {
    assert.throws(
      () => renderTemplate(template, [pools], {}),
      (error: Error) => err.test(error.message),
    )
  })
}

test.run()
