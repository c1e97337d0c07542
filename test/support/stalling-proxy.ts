import {type AddressInfo, connect, createServer, type Socket} from 'node:net'

/** A connection through the proxy, and how much of it went where, in bytes. */
export interface Link {
  /** As `pg_stat_activity.client_port` tells it of the backend at its end. */
  readonly clientPort: number
  /** What was passed on, in either direction. */
  readonly passed: number
  /** What arrived from the program since it stalled, and from the server: nobody ever saw it. */
  readonly lost: {readonly fromProgram: number; readonly fromServer: number}
}

/**
 * A network in front of a server that dies half: bytes vanish, and neither side hears that the other one is
 * gone. Its kernel goes on acknowledging them, so that no keepalive notices it.
 */
export interface StallingProxy {
  /** Where it listens, on 127.0.0.1. */
  readonly port: number
  /** The same database as that URL's, by way of the proxy. */
  through(url: string): string
  /** From now on nothing passes on this connection. */
  stall(clientPort: number): Link
  /**
   * From now on nothing passes at all; new connections are taken, and never answered. Returns those that were
   * open.
   */
  stallAll(): Link[]
  /** How many connections were taken and never answered. */
  unanswered(): number
  /** Passes new connections on again. What has stalled stays that way. */
  heal(): void
  close(): Promise<void>
}

interface OpenLink extends Link {
  passed: number
  lost: {fromProgram: number; fromServer: number}
  isStalled: boolean
}

/** Starts such a network, which works at first. */
export async function startStallingProxy(server: {host: string; port: number}): Promise<StallingProxy> {
  const links = new Set<OpenLink>()
  const sockets = new Set<Socket>()
  let isStalled = false
  let unanswered = 0

  const listener = createServer((program) => {
    keep(program)
    if (isStalled) {
      unanswered++
      program.resume()
    } else passOn(program)
  })

  function keep(socket: Socket): void {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  }

  function passOn(program: Socket): void {
    const backend = connect(server.port, server.host)
    keep(backend)
    const link = {clientPort: 0, passed: 0, lost: {fromProgram: 0, fromServer: 0}, isStalled: false}
    backend.on('connect', () => {
      link.clientPort = backend.localPort ?? 0
      links.add(link)
    })
    const carry = (from: Socket, to: Socket, origin: keyof Link['lost']) => {
      from.on('data', (bytes) => {
        if (link.isStalled) {
          link.lost[origin] += bytes.length
          return
        }
        link.passed += bytes.length
        to.write(bytes)
      })
      from.on('close', () => {
        if (link.isStalled) return
        links.delete(link)
        to.destroy()
      })
    }
    carry(program, backend, 'fromProgram')
    carry(backend, program, 'fromServer')
  }

  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const {port} = listener.address() as AddressInfo
  return {
    port,
    through: (url) => {
      const changed = new URL(url)
      changed.hostname = '127.0.0.1'
      changed.port = String(port)
      return changed.href
    },
    stall: (clientPort) => {
      const link = [...links].find((each) => each.clientPort === clientPort)
      if (!link) throw new Error(`no connection with client_port ${clientPort}`)
      link.isStalled = true
      return link
    },
    stallAll: () => {
      isStalled = true
      for (const link of links) link.isStalled = true
      return [...links]
    },
    unanswered: () => unanswered,
    heal: () => {
      isStalled = false
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        listener.close(() => resolve())
      }),
  }
}
