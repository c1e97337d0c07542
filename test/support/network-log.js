// For node --import: writes each way out of the process, a line each, into the file that AYB_NETWORK_LOG
// names.
import child from 'node:child_process'
import dgram from 'node:dgram'
import dns from 'node:dns'
import {appendFileSync} from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import {syncBuiltinESMExports} from 'node:module'
import net from 'node:net'

const log = (what, where) => appendFileSync(process.env.AYB_NETWORK_LOG, `${what} ${where}\n`)

/** Has each of the functions whose name matches tell of its calls. */
function watch(owner, title, names, where = (args) => String(args[0])) {
  for (const name of Object.keys(Object.getOwnPropertyDescriptors(owner))) {
    if (!names.test(name)) continue
    const original = owner[name]
    owner[name] = function (...args) {
      log(`${title}${name}`, where(args))
      return Reflect.apply(original, this, args)
    }
  }
}

// What net.connect() hands on has its arguments in a list of their own.
watch(net.Socket.prototype, 'socket ', /^connect$/, ([first, second]) => {
  const [to, host] = Array.isArray(first) ? first : [first, second]
  if (typeof to === 'string') return to
  return typeof to === 'object' ? (to.path ?? `${to.host}:${to.port}`) : `${host}:${to}`
})
watch(net.Server.prototype, 'server ', /^listen$/, ([to]) =>
  typeof to === 'object' ? `${to.host}:${to.port}` : String(to),
)
watch(dns, 'dns ', /^(lookup|resolve|reverse)/)
watch(dns.promises, 'dns ', /^(lookup|resolve|reverse)/)
watch(dns.Resolver.prototype, 'resolver ', /^(resolve|reverse)/)
watch(dns.promises.Resolver.prototype, 'resolver ', /^(resolve|reverse)/)
watch(dgram, 'dgram ', /^createSocket$/)
watch(http, 'http ', /^(get|request)$/)
watch(https, 'https ', /^(get|request)$/)
watch(globalThis, '', /^fetch$/)
// What another program does is not seen here, so that there is one is.
watch(child.ChildProcess.prototype, 'child ', /^spawn$/, ([{file}]) => file)
watch(child, 'child ', /Sync$/)
syncBuiltinESMExports()
