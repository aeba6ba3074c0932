import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { decodeSmiObject } from '../../pkg/smi/decode.ts';
import { createProgram } from '../../pkg/cli/program.ts';

const root = join(import.meta.dirname, '../..');
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join('docs', file)),
];

/** GitHub's anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

function anchorsOf(markdown: string): Set<string> {
  return new Set([...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading as string)));
}

function fenced(markdown: string, language: string): string[] {
  return [...markdown.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, code]) => code as string,
  );
}

describe('docs', () => {
  for (const page of pages) {
    const markdown = readFileSync(join(root, page), 'utf8');

    it(`${page}: every link leads somewhere`, () => {
      for (const [, target] of markdown.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target as string)) continue;
        const [path = '', anchor] = (target as string).split('#');
        const file = path === '' ? join(root, page) : join(root, dirname(page), path);
        assert.ok(existsSync(file), `${page} links to ${relative(root, file)}, which does not exist`);
        if (anchor !== undefined) {
          assert.ok(
            anchorsOf(readFileSync(file, 'utf8')).has(anchor),
            `${page} links to #${anchor} of ${relative(root, file)}`,
          );
        }
      }
    });

    it(`${page}: every YAML block is YAML, and its SMI objects decode without a problem`, () => {
      for (const block of fenced(markdown, 'yaml')) {
        for (const document of parseAllDocuments(block)) {
          assert.deepEqual(document.errors, []);
          const object = document.toJS() as { apiVersion?: string };
          if (object?.apiVersion?.includes('smi-spec.io') !== true) continue;
          assert.deepEqual(decodeSmiObject(object as never).problems, []);
        }
      }
    });

    it(`${page}: every command of tulle that it shows exists, with its flags`, () => {
      const commands = new Map(createProgram().commands.map((command) => [command.name(), command]));
      for (const block of fenced(markdown, '(?:sh|console)')) {
        for (const [, name, rest] of block.matchAll(/^(?:\$ )?tulle ([a-z][a-z-]*)(.*)$/gm)) {
          const command = commands.get(name as string);
          assert.ok(command, `${page} shows \`tulle ${name}\``);
          const own = (rest as string).split(' -- ')[0] as string;
          const known = [...command.options, ...command.commands.flatMap((sub) => sub.options)];
          for (const [flag] of own.matchAll(/(?<=\s)--[a-z-]+/g)) {
            assert.ok(
              known.some((option) => option.long === flag),
              `${page} shows \`tulle ${name} ${flag}\``,
            );
          }
        }
      }
    });
  }

  it('every row of the decisions that the code refers to is there', () => {
    const rows = new Set(
      [...readFileSync(join(root, 'docs/decisions.md'), 'utf8').matchAll(/^\| ([A-Z]\d+a?) \|/gm)].map(
        ([, row]) => row,
      ),
    );
    for (const folder of ['pkg', 'cmd', 'test']) {
      for (const file of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
        if (!/\.tsx?$/.test(file)) continue;
        const text = readFileSync(join(root, folder, file), 'utf8');
        for (const [, list] of text.matchAll(/DECISIONS ((?:[A-Z]\d+a?(?:, | and )?)+)/g)) {
          for (const row of (list as string).split(/, | and /)) {
            assert.ok(row === '' || rows.has(row), `${folder}/${file} refers to DECISIONS ${row}`);
          }
        }
      }
    }
  });
});
