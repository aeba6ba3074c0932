import assert from 'node:assert/strict';
import type { DirectoryEntry } from '../policy/proxy-policy.ts';
import { toAddressBook } from './address-book.ts';

function entry(parts: Partial<DirectoryEntry>): DirectoryEntry {
  const key = `shop/${parts.name ?? 'cart'}:80`;
  return { key, namespace: 'shop', name: 'cart', port: 80, protocol: 'http', addresses: [], hostnames: [], ...parts };
}

function textsOf(...entries: readonly DirectoryEntry[]): Map<string, string> {
  return new Map(
    toAddressBook(entries).map(({ name, typed_config }) => [
      name,
      typed_config.on_accept[0]?.format_string.text_format_source?.inline_string ?? '',
    ]),
  );
}

describe('address book', () => {
  it('has the same ten pieces whatever is in it', () => {
    assert.equal(textsOf().size, 10);
    assert.deepEqual([...textsOf(entry({ addresses: ['10.96.0.1', 'fd00::f'] })).keys()], [...textsOf().keys()]);
  });

  it('changes one piece when one Service comes', () => {
    const cart = entry({ addresses: ['10.96.0.1'] });
    const [before, after] = [textsOf(cart), textsOf(cart, entry({ name: 'pay', addresses: ['10.96.0.17'] }))];
    const changed = [...after].filter(([name, text]) => before.get(name) !== text);
    assert.deepEqual(changed, [
      [
        'addresses/7',
        "%CEL((destination.address.contains('7:')) ? (destination.address in ['10.96.0.17:80'] ? 'http' : '') : '')%",
      ],
    ]);
  });

  it('says TCP of what speaks TCP, and HTTP where two Services disagree', () => {
    const db = entry({ name: 'db', protocol: 'tcp', addresses: ['10.96.0.3'] });
    assert.match(textsOf(db).get('addresses/3') ?? '', /in \['10.96.0.3:80'\] \? 'tcp'/);
    const both = textsOf(db, entry({ addresses: ['10.96.0.3'] })).get('addresses/3') ?? '';
    assert.match(both, /\? 'http'/);
    assert.doesNotMatch(both, /'tcp'/);
  });

  it('knows pods of a headless Service at both ports, and addresses of IPv6', () => {
    const pods = [
      { ip: '10.1.0.4', port: 8080, hostnames: [] },
      { ip: 'fd00::e', hostnames: [] },
    ];
    const text = textsOf(entry({ pods })).get('addresses/4') ?? '';
    for (const address of ['10.1.0.4:80', '10.1.0.4:8080', '[fd00::e]:80']) assert.ok(text.includes(`'${address}'`));
    assert.ok(text.includes("contains('e]:')"));
  });
});
