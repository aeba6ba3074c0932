import tseslint from 'typescript-eslint';

const pure = ['problem', 'policy', 'smi', 'catalog', 'envoy-config', 'explain', 'analysis', 'cases', 'suggest'].map(
  (folder) => `pkg/${folder}/**`,
);
const impure = 'Pure code has no I/O, clock, chance or log: take it as an argument.';

const noBarrels = [
  { selector: 'ExportAllDeclaration', message: 'Import from the file that defines it: no barrels.' },
  { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
];

export default tseslint.config(
  { ignores: ['node_modules/**', 'dist/**', 'build/**', '**/*.cjs', '**/*.js', '**/*.mjs'] },
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: { projectService: { allowDefaultProject: [] }, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      'no-console': 'error',
      'no-restricted-syntax': ['error', ...noBarrels],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      eqeqeq: 'error',
    },
  },
  {
    files: ['pkg/**'],
    ignores: ['**/*.test.ts', '**/*.fixture.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        ...noBarrels,
        {
          selector: "NewExpression[callee.name='URL'] MemberExpression[property.name='url']",
          message: 'It throws for targets such as `//`, and so ends the process: take the path apart as text.',
        },
      ],
      'no-restricted-globals': [
        'error',
        { name: 'process', message: 'Only cmd knows the process: take what you need as an argument.' },
      ],
    },
  },
  {
    files: pure,
    ignores: ['**/*.test.ts', '**/*.fixture.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...['process', 'fetch', 'setTimeout', 'setInterval', 'setImmediate', 'performance', 'crypto', 'Buffer'].map(
          (name) => ({ name, message: impure }),
        ),
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: impure },
        { object: 'Math', property: 'random', message: impure },
      ],
    },
  },
  { files: ['**/*.test.ts', 'test/**'], rules: { '@typescript-eslint/no-floating-promises': 'off' } },
);
