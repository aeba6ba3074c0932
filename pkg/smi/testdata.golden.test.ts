import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { decodeSmiObject } from './decode.ts';

const folder = join(import.meta.dirname, 'testdata');
const updating = process.env['UPDATE_GOLDEN'] === '1' && !process.env['CI'];

describe('SMI as tools write it', () => {
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.in.yaml'))) {
    it(`${file}: decodes to what is meant`, () => {
      const documents = parseAllDocuments(readFileSync(join(folder, file), 'utf8'));
      const decoded = documents.map((document) => {
        const { value, problems } = decodeSmiObject(document.toJS());
        return {
          ...value,
          ...(problems.length > 0 && {
            problems: problems.map(
              ({ severity, reason, field, message }) => `${severity} ${reason} ${field}: ${message}`,
            ),
          }),
        };
      });
      const golden = join(folder, file.replace('.in.', '.out.'));
      const text = stringify(decoded);
      if (updating) writeFileSync(golden, text);
      assert.equal(text, existsSync(golden) ? readFileSync(golden, 'utf8') : '', 'if this is right: make golden');
    });
  }
});
