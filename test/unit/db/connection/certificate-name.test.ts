import {X509Certificate} from 'node:crypto'
import {expect, test} from 'vitest'
import {isIssuedFor} from '../../../../src/db/connection/certificate-name.ts'

/** CN=server, and the alternative names DNS:*.example.com, DNS:*.local and IP:fe80::1. */
const CERTIFICATE = new X509Certificate(`-----BEGIN CERTIFICATE-----
MIIBrjCCAVSgAwIBAgIUT8/ysEPk+kLmKthg5w55pAHgWb4wCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGc2VydmVyMB4XDTI2MTEyMjIwNTgzNloXDTQ2MTExNzIwNTgz
NlowETEPMA0GA1UEAwwGc2VydmVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
nyqCiifenaVE8QHwsKoM+J7OvShPN+zihh4idZ+dhLGeN5it7SswJ39hmZY0hmZ8
himAtvaUMxpnAc9T8wZeIaOBiTCBhjAdBgNVHQ4EFgQUiax5fXjjDal/L5KKpm/Y
7HJDecUwHwYDVR0jBBgwFoAUiax5fXjjDal/L5KKpm/Y7HJDecUwDwYDVR0TAQH/
BAUwAwEB/zAzBgNVHREELDAqgg0qLmV4YW1wbGUuY29tggcqLmxvY2FshxD+gAAA
AAAAAAAAAAAAAAABMAoGCCqGSM49BAMCA0gAMEUCIQDgvwjPK9tKneRAz6wEMicv
1izoxo1uZHOEEtBVJXsLNgIgI7LlRuMEosib7SZEXCx2AIjwlAUatIepLGlk2r/L
m4g=
-----END CERTIFICATE-----`)

test.each(['db.example.com', 'my_db.Example.com', 'db.local', 'fe80::1', 'FE80:0::1'])(
  'a certificate is for the host %s, which one of its names or addresses covers',
  (host) => {
    expect(isIssuedFor(CERTIFICATE, host)).toBe(true)
  },
)

test.each(['a.db.example.com', 'example.com', '.example.com', 'local', '.local', 'server', 'fe80::2'])(
  'but not for the host %s, which none covers',
  (host) => {
    expect(isIssuedFor(CERTIFICATE, host)).toBe(false)
  },
)

test.each(['fe80::1%eth0', '::1%1', '1.2.3.4%eth0'])(
  'nor for %s, whose zone makes a name of an address, and does not throw',
  (host) => {
    expect(isIssuedFor(CERTIFICATE, host)).toBe(false)
  },
)
