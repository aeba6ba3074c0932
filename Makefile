# Each target says what it does: `make help`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MOCHA := npx mocha

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

node_modules/.setup: package.json package-lock.json
	npm ci --ignore-scripts
	node node_modules/esbuild/install.js
	@touch $@

build/protos.json: node_modules/.setup scripts/generate-protos.ts scripts/envoy-additions.json
	npx tsx scripts/generate-protos.ts

SOURCES := $(shell find cmd pkg demo scripts -type f -not -name '*.test.ts' 2>/dev/null)
dist/tulle.js: node_modules/.setup build/protos.json $(SOURCES)
	node scripts/build.mjs

setup: node_modules/.setup ## install the packages that the project builds with
build: dist/tulle.js ## bundle the command line, the controller, the sidecar and the page into dist/

demo: build ## run the bookstore in a mesh on this machine (DURATION=20 SUMMARY=out.json SIDECAR=envoy)
	@node dist/tulle.js demo $(if $(DURATION),--run-for $(DURATION)s) $(if $(SUMMARY),--summary $(SUMMARY)) $(if $(SIDECAR),--sidecar $(SIDECAR))

install: build ## put `tulle` on the PATH (PREFIX=/usr/local by default, as npm has it)
	npm install --global --ignore-scripts $(if $(PREFIX),--prefix $(PREFIX)) ./$$(npm pack --silent)

check: node_modules/.setup build/protos.json ## format, lint, boundaries, types, unit tests: the inner loop
	npm run --silent check

test: build ## everything: checks, unit, scenario, conformance, feature and end-to-end tests
	scripts/test-tools.sh
	npm run --silent check
	npm run --silent test:all

e2e: build ## the end-to-end tests on Kubernetes: KUBECONFIG, and TULLE_IMAGE_LOAD, a command that brings an image into the cluster
	$(MOCHA) 'test/e2e-kubernetes/*.test.ts'

cluster-images: build ## bring the images of this tree into the cluster of KUBECONFIG
	npx tsx scripts/cluster-images.ts

bench-cluster: build ## measure on the cluster of KUBECONFIG, write docs/performance.md
	BENCH_ONLY=cluster npx tsx test/bench/run.ts

golden: build ## rewrite all golden files
	UPDATE_GOLDEN=1 $(MOCHA) 'test/scenarios/*.test.ts' 'pkg/**/*.golden.test.ts' 'test/chart/*.golden.test.ts'

format: node_modules/.setup ## format all code
	npx prettier --write --log-level warn .

bench: build ## measure, print ratios, write docs/performance.md
	npx tsx test/bench/run.ts

clean: ## delete what was built
	rm -rf build dist coverage

.PHONY: help setup build demo install check test e2e cluster-images bench-cluster golden format bench clean
