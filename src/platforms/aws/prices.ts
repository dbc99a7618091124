/** What Aurora costs on demand, out of the price list of AWS. */

import type { AwsSession } from './aws-session.ts';

/** US dollars an hour; undefined where the price list does not have it. @param instanceClass not `db.serverless` */
export async function instancePrice(
  aws: AwsSession,
  wanted: { readonly engine: string; readonly instanceClass: string },
): Promise<number | undefined> {
  const products = await productsOf(aws, {
    instanceType: wanted.instanceClass,
    databaseEngine: databaseEngine(wanted.engine),
    deploymentOption: 'Single-AZ',
  });
  return lowest(products);
}

/** US dollars for one unit of capacity (ACU) and hour of `db.serverless`; undefined where the price list does not have it. */
export async function capacityPrice(aws: AwsSession, engine: string): Promise<number | undefined> {
  const products = await productsOf(aws, {
    productFamily: 'ServerlessV2',
    databaseEngine: databaseEngine(engine),
  });
  // `EUC1-Aurora:ServerlessV2Usage`; that of I/O-Optimized has another name.
  return lowest(products.filter(({ product }) => product?.attributes?.usagetype?.endsWith(CAPACITY_USAGE)));
}

const CAPACITY_USAGE = 'Aurora:ServerlessV2Usage';

const databaseEngine = (engine: string): string =>
  engine === 'aurora-mysql' ? 'Aurora MySQL' : 'Aurora PostgreSQL';

/** A line of the price list, as far as it is read here. @see GetProducts of the AWS Price List API */
interface Product {
  readonly product?: { readonly attributes?: { readonly usagetype?: string } };
  readonly terms?: {
    readonly OnDemand?: Readonly<
      Record<string, { readonly priceDimensions: Record<string, PriceDimension> }>
    >;
  };
}

interface PriceDimension {
  readonly unit: string;
  readonly pricePerUnit: { readonly USD: string };
}

async function productsOf(aws: AwsSession, attributes: Readonly<Record<string, string>>): Promise<Product[]> {
  const sdk = await import('@aws-sdk/client-pricing');
  // The price list of all regions is served in few.
  const client = aws.client(
    'PRICING',
    (settings) => new sdk.PricingClient({ ...settings, region: 'us-east-1' }),
  );
  const wanted = { regionCode: aws.region, ...attributes };
  const Filters = Object.entries(wanted).map(([Field, Value]) => ({
    Type: 'TERM_MATCH' as const,
    Field,
    Value,
  }));
  const command = new sdk.GetProductsCommand({ ServiceCode: 'AmazonRDS', Filters });
  const { PriceList } = await aws.call('pricing:GetProducts', (options) => client.send(command, options));
  const products = (PriceList ?? []) as readonly unknown[];
  return products.map((product) => JSON.parse(String(product)) as Product);
}

/** That of the standard storage; the one that includes what is read and written costs more. */
function lowest(products: readonly Product[]): number | undefined {
  const prices = products
    .flatMap(({ terms }) => Object.values(terms?.OnDemand ?? {}))
    .flatMap(({ priceDimensions }) => Object.values(priceDimensions))
    .filter(({ unit }) => unit === 'Hrs' || unit === 'ACU-Hr')
    .map(({ pricePerUnit }) => Number(pricePerUnit.USD))
    .filter((price) => price > 0);
  return prices.length === 0 ? undefined : Math.min(...prices);
}
