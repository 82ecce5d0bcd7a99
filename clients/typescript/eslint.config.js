import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  { ignores: ["build/", "dist/", "src/gen/"] },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // A number in a text is what it looks like.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // node:test runs what it is given; nobody awaits it.
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [{ from: "package", package: "node:test", name: ["test", "describe", "it"] }],
        },
      ],
    },
  },
  {
    files: ["src/**"],
    ignores: ["src/node.ts"],
    rules: {
      // The client runs in browsers, too; what asks for Node.js is in node.ts alone.
      "no-restricted-imports": ["error", { patterns: ["node:*", "@connectrpc/connect-node"] }],
    },
  },
);
