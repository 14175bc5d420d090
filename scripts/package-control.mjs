// The files that dpkg reads: control, conffiles, md5sums, maintainer scripts, copyright, changelog and lintian's overrides.
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { allBelow, gzip, write } from './package-files.mjs'
import { runtimeLicence, systemDependencies } from './package-runtime.mjs'
import { DEBIAN, ROOT } from './step.mjs'

const MAINTAINER = 'The margay authors <margay@margay.example>'
const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' }
const CHANGELOG_WIDTH = 75
const SCRIPTS = ['postinst', 'prerm', 'postrm']
const LICENCE_FILE = /^(licen[cs]e|copying|notice)(\.(md|txt))?$/i

/** Debian's name for the architecture of this machine. */
export const ARCHITECTURE = ARCHITECTURES[process.arch] ?? process.arch

/** `1.0.0-rc.1` as Debian sorts it: before 1.0.0. */
export function debianVersion(version) {
  return version.replace('-', '~').replaceAll('-', '.')
}

/** Writes what belongs to the files under /usr/share/doc and lintian's overrides; `modules` are the npm packages in the bundles. */
export function installDocuments(root, { version, modules, epochS }) {
  write(root, 'usr/share/doc/margay/copyright', copyright(modules))
  write(root, 'usr/share/doc/margay/LICENSE.node.gz', gzip(runtimeLicence()))
  write(root, 'usr/share/doc/margay/changelog.gz', gzip(changelog(version, epochS)))
  write(root, 'usr/share/lintian/overrides/margay', readFileSync(join(ROOT, 'packaging/debian/lintian-overrides')))
}

/** Writes DEBIAN/. The files of the package must be complete. */
export async function installControl(root, version) {
  const files = allBelow(root).filter((path) => lstatSync(join(root, path)).isFile())
  const programs = ['node', 'etcd', `native/build/linux-${process.arch}.node`].map((name) => `usr/lib/margay/${name}`)
  const depends = [...(await systemDependencies(programs.map((path) => join(root, path)))), 'iproute2', 'nftables', 'systemd (>= 247)']
  const sums = files.filter((path) => !path.startsWith('etc/')).map((path) => `${md5(join(root, path))}  ${path}\n`)
  const kib = installedKib(root)
  mkdirSync(join(root, 'DEBIAN'))
  chmodSync(join(root, 'DEBIAN'), 0o755)
  const put = (name, text, mode = 0o644) => {
    writeFileSync(join(root, 'DEBIAN', name), text)
    chmodSync(join(root, 'DEBIAN', name), mode)
  }
  put('control', control({ version, depends, kib }))
  put('md5sums', sums.join(''))
  put('conffiles', files.flatMap((path) => (path.startsWith('etc/') ? [`/${path}\n`] : [])).join(''))
  for (const name of SCRIPTS) put(name, readFileSync(join(ROOT, 'packaging/debian', name)), 0o755)
  return kib
}

function control({ version, depends, kib }) {
  return `Package: margay
Version: ${debianVersion(version)}
Architecture: ${ARCHITECTURE}
Maintainer: ${MAINTAINER}
Installed-Size: ${kib}
Depends: ${depends.join(', ')}
Recommends: kmod
Suggests: bash-completion, etcd-client
Section: net
Priority: optional
Description: one routed network and network policy for hosts without Kubernetes
 margay gives the containers, virtual machines and network namespaces of many
 hosts addresses of one network and lets them reach each other, through VXLAN
 or plain routes. What each host should do stands in a shared etcd, in Calico's
 own resources.
 .
 The package brings the Node runtime and the etcd that it needs. Nothing is
 started and nothing on the network changes before /etc/margay/config.json
 says how and margayd.service is enabled.
`
}

/** As Policy 5.6.20 counts: each file rounded up to KiB, each folder and link one. */
function installedKib(root) {
  return allBelow(root).reduce((sum, path) => {
    const stat = lstatSync(join(root, path))
    return sum + (stat.isFile() ? Math.ceil(stat.size / 1024) : 1)
  }, 0)
}

function md5(file) {
  return createHash('md5').update(readFileSync(file)).digest('hex')
}

/** Debian's form of CHANGELOG.md's first section. */
function changelog(version, epochS) {
  const [, section = ''] = readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8').split(/^## .*\n/m)
  const entries = section
    .split(/^- /m)
    .slice(1)
    .map((entry) => `  * ${wrap(entry).join('\n    ')}`)
  const date = new Date(epochS * 1000).toUTCString().replace('GMT', '+0000')
  return `margay (${debianVersion(version)}) unstable; urgency=medium\n\n${entries.join('\n')}\n\n -- ${MAINTAINER}  ${date}\n`
}

/** The words of a text in lines that lintian takes in a changelog, which are indented by four. */
function wrap(text) {
  const lines = ['']
  for (const word of text.trim().split(/\s+/)) {
    const last = lines.pop()
    if (last === '') lines.push(word)
    else if (last.length + word.length < CHANGELOG_WIDTH) lines.push(`${last} ${word}`)
    else lines.push(last, word)
  }
  return lines
}

/** Whose each part is: ours, Node's, etcd's, and each npm package's that is in the bundles. */
function copyright(modules) {
  const etcd = readFileSync(join(DEBIAN, 'usr/share/doc/etcd-server/copyright'), 'utf8')
  const parts = [
    ['margay', `Copyright The margay authors\nLicense: Apache-2.0, see /usr/share/common-licenses/Apache-2.0`],
    ...modules.map((name) => [
      `${name} ${manifestOf(name).version} (npm), in /usr/lib/margay/margay.js and margayd.js`,
      moduleLicence(name),
    ]),
    ['etcd, /usr/lib/margay/etcd: the program of the Debian package etcd-server', etcd],
    [
      `Node.js ${process.versions.node}, /usr/lib/margay/node`,
      'License: /usr/share/doc/margay/LICENSE.node.gz, with those of the libraries in it',
    ],
  ]
  return parts.map(([title, text]) => `${'='.repeat(72)}\n${title}\n${'='.repeat(72)}\n${text.trimEnd()}\n`).join('\n')
}

/** The package's licence files. The text of Apache-2.0 is on every Debian. */
function moduleLicence(name) {
  const folder = join(ROOT, 'node_modules', name)
  const files = readdirSync(folder).filter((file) => LICENCE_FILE.test(file))
  const texts = files.map((file) => readFileSync(join(folder, file), 'utf8').trim())
  const own = texts.filter((text) => !/Apache License\s+Version 2\.0, January 2004/.test(text))
  const { license, author } = manifestOf(name)
  const common = existsSync(join('/usr/share/common-licenses', String(license))) || String(license).includes('Apache-2.0')
  const head = `License: ${license}${common ? ', see /usr/share/common-licenses' : ''}`
  const by = author === undefined ? [] : [`Author: ${typeof author === 'string' ? author : author.name}`]
  return [head, ...by, ...own].join('\n')
}

function manifestOf(name) {
  return JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'))
}
